"""What the discriminator's judgement weighs in the contrastive loss (Eqs. 6, 7), and two controls of it."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor


def weigh(
    quality: Tensor,
    positive: Tensor,
    acts: Tensor,
    form: Literal["judged", "mean_one", "shuffled"],
    generator: Generator,
) -> Tensor:
    """The weights of a batch's chosen rationales.

    Args:
        quality: [C] s, in [0, 1].
        positive: [C] bool.
        acts: [C] bool: whether the loss depends on it at all; a negative beyond the margin does not act.
        form: "judged" is s of positives and 1 - s of negatives. "mean_one" divides both by their means over
            those of the kind that act, so that what is left of the judgement is the choice among rationales,
            without its scaling of the loss and of beta; a kind without weight counts 1 each. "shuffled"
            permutes the weights among those of the kind that act: same scale and spread, no judgement.
        generator: on the CPU, for "shuffled".

    Returns:
        [C] weights.
    """
    weight = torch.where(positive, quality, 1 - quality)
    if form == "judged":
        return weight
    for kind in (positive & acts, ~positive & acts):
        rows = torch.nonzero(kind).squeeze(1)
        if form == "shuffled":
            # Drawn on the CPU so that a seed means the same on every device.
            order = torch.randperm(len(rows), generator=generator).to(rows.device)
            weight = weight.index_copy(0, rows, weight[rows[order]])
        elif len(rows):
            mean = weight[rows].mean()
            scaled = torch.where(mean > 0, weight[rows] / mean, 1.0)
            weight = weight.index_copy(0, rows, scaled)
    return weight


class Weighed:
    """Mean weights over a training, by source; what they make of beta."""

    def __init__(self, device: torch.device):
        self.totals = torch.zeros(3, 2, dtype=torch.double, device=device)  # sum and count of each source

    def __call__(self, weight: Tensor, positive: Tensor, played: Tensor, beta: float) -> dict[str, Tensor]:
        """Count a batch's chosen rationales; returns its means. NaN stands for none.

        Args:
            weight: [C].
            positive: [C] bool.
            played: [C] bool: whether it is a negative of self-play.
            beta: weight of the negatives.
        """
        kinds = torch.stack([positive, ~positive & ~played, played]).double()
        now = torch.stack([kinds @ weight.double(), kinds.sum(1)], dim=1)
        self.totals += now
        return self._means(now, beta)

    def figures(self, beta: float) -> dict[str, float]:
        """The same of all steps so far, where there was something to weigh."""
        found = {name: float(value) for name, value in self._means(self.totals, beta).items()}
        return {name: value for name, value in found.items() if value == value}

    def _means(self, totals: Tensor, beta: float) -> dict[str, Tensor]:
        positive, teacher, selfplay = totals[:, 0] / totals[:, 1]
        negative = totals[1:, 0].sum() / totals[1:, 1].sum()
        return {
            "weight/positive": positive,
            "weight/negative": negative,
            "weight/teacher": teacher,
            "weight/selfplay": selfplay,
            "weight/effective_beta": beta * negative / positive,
        }
