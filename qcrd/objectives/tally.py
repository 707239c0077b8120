"""How many of the negatives push the student at all, by where they come from.

A negative whose l is beyond the margin has no gradient: where all are, that term of the loss is switched off,
and an accuracy beside it says nothing about them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

TEACHER, SELFPLAY = 0, 1
SOURCES = ("teacher", "selfplay")
"""Where a negative is from: the teacher's wrong answers, or the student's past."""


class Tally:
    """Counts over one training, which go on after a resumption with `state` and `load_state`."""

    def __init__(self, delta: float, device: torch.device):
        """`delta` is the margin, nats per token."""
        self.delta = delta
        # of each source: chosen, active, sum of l; candidates, active
        self.sums = torch.zeros(len(SOURCES), 5, dtype=torch.float64, device=device)
        self.least = torch.full((len(SOURCES),), torch.inf, dtype=torch.float64, device=device)

    def add(
        self, chosen: Tensor, source: Tensor, candidates: tuple[Tensor, Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Count a step's negatives.

        Args:
            chosen: [C] l of those that the scheme chose, nats per token.
            source: [C] long: the number of each in `SOURCES`.
            candidates: the same of all that it chose from; None where they were not scored.

        Returns:
            The step's own figures, as `figures` has them over all steps, NaN where there are none.
        """
        picked = self._sums(chosen, source)
        scored = torch.zeros_like(picked) if candidates is None else self._sums(*candidates)
        sums = torch.cat([picked, scored[:, :2]], 1)
        self.sums += sums
        loss, among = (chosen, source) if candidates is None else candidates
        lowest = torch.where(_of(among), loss.detach().double()[:, None], torch.inf)
        self.least = torch.cat([lowest, self.least[None]]).amin(0)
        return {f"negatives/{name}": value for name, value in _shares(sums).items()}

    def figures(self) -> dict[str, float]:
        """Over all steps, without those that there was nothing to take from.

        `chosen` is a count. `active` is the share of the chosen negatives whose l is within the margin, of
        all and of each source, `_all_active` the same among all that were scored, `_l` the mean l of the
        chosen and `_least` the least l of all, in nats per token; `selfplay_chosen` is the share of the
        chosen that are the student's own.
        """
        found = {"chosen": self.sums[:, 0].sum(), **_shares(self.sums)}
        found |= {f"{name}_least": value for name, value in zip(SOURCES, self.least, strict=True)}
        numbers = {f"negatives/{name}": float(value) for name, value in found.items()}
        return {name: value for name, value in numbers.items() if abs(value) < float("inf")}

    def state(self) -> dict[str, Tensor]:
        """What a resumed training goes on from."""
        return {"negatives.sums": self.sums, "negatives.least": self.least}

    def load_state(self, tensors: Mapping[str, Tensor]) -> None:
        """Go on from `state()`."""
        self.sums = tensors["negatives.sums"].to(self.sums)
        self.least = tensors["negatives.least"].to(self.least)

    def _sums(self, loss: Tensor, source: Tensor) -> Tensor:
        """[sources, 3] how many, how many of them active, and the sum of their l."""
        values = loss.detach().double()
        each = torch.stack([torch.ones_like(values), (values < self.delta).double(), values], 1)
        return each.new_zeros(len(SOURCES), each.shape[1]).index_add(0, source, each)


def _of(source: Tensor) -> Tensor:
    """[N] -> [N, sources] whether each is from there."""
    return source[:, None] == torch.arange(len(SOURCES), device=source.device)


def _shares(sums: Tensor) -> dict[str, Tensor]:
    chosen, active, nats, seen, within = sums.unbind(1)
    found = {"active": active.sum() / chosen.sum(), "selfplay_chosen": chosen[SELFPLAY] / chosen.sum()}
    shares = {"active": active / chosen, "l": nats / chosen, "all_active": within / seen}
    for name, values in shares.items():
        found |= {f"{source}_{name}": value for source, value in zip(SOURCES, values, strict=True)}
    return found
