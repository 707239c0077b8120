"""QCRD: quality-guided contrastive rationale distillation (section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, Chosen, choose, contrastive_loss, hinge
from qcrd.losses.weights import Weighed, weigh
from qcrd.objectives.base import Ingredients, Stateless
from qcrd.objectives.rationale_pool import Offers
from qcrd.objectives.tally import SELFPLAY, TEACHER, Tally
from qcrd.rationales.dual import key_weights
from qcrd.seeds import derive
from qcrd.student.selfplay import Snapshots, ended, self_play
from qcrd.student.token_duplicates import Known

Tokens = list[int]


class Contrastive(Stateless):
    """alpha1 * L_pred + alpha2 * L_cl (Eq. 8); L_D has its own optimiser, since it shares no parameter.

    A step encodes each question once per task prefix, runs all rationales that a scheme must compare through
    the decoder once, without gradient, and differentiates only the chosen ones, whose forward pass is not
    repeated (see `qcrd.student.t5.replay`). The choice is made under the step's dropout, as where each
    rationale has a pass of its own.
    """

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student = student
        self.settings, self.selfplay = given.contrastive, given.selfplay
        self.scheme = SCHEMES[given.contrastive.scheme]
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.limit, self.seed = lengths.max_rationale, given.seed
        self.judge, self.judged = given.judge, given.judged
        self.weighed = Weighed(student.device)
        self.predict = student.prompts("predict", [q.text for q in given.questions], lengths.max_input)
        self.explain = student.prompts("explain", [q.text for q in given.questions], lengths.max_input)
        self.labels = student.completions([s.label for s in given.sets], lengths.max_label)
        self.offers = Offers(given)
        self.tally = Tally(given.contrastive.delta, student.device)
        self.played: list[list[Tokens]] = [[] for _ in given.sets]
        self.lag = given.selfplay.lag if given.selfplay.k else 0
        self.known = Known(student.tokenizer, self.offers.learnable()) if self.lag else None
        self.drawn = torch.zeros(4, dtype=torch.float64)  # in self-play: rationales; see `_shares`

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Select positives and draw self-play negatives for the coming questions, then update the judge."""
        figures = self.offers.begin_iteration(iteration, coming)
        if self.lag:
            figures |= self._play(iteration, snapshots, coming)
        if self.judge is not None:
            questions = [replace(self.judged[i], played=self.played[i]) for i in coming]
            found = self.judge.update(questions, iteration)
            figures |= {f"discriminator/{name}": value for name, value in found.items()}
        return figures

    def _play(self, iteration: int, snapshots: Snapshots, coming: Sequence[int]) -> dict[str, float]:
        # A question without positives is out of the contrastive loss, so nothing is played for it.
        contrasted = [i for i in coming if self.offers.positives[i]]
        rows = [self.explain[i] for i in contrasted]
        with self.student.carrying(snapshots.before(iteration)):
            drawn = self_play(self.student, rows, self.selfplay, self.limit, self.seed, iteration)
        self.played = [[] for _ in self.played]
        counts = torch.zeros_like(self.drawn)
        for i, group in zip(contrasted, drawn, strict=True):
            # A rationale that is right must not be pushed away from.
            self.played[i] = [r for r in group if not self.known.has(i, r)]
            equal = len(group) - len(self.played[i])
            cut = sum(not ended(r, self.limit) for r in group)
            counts += torch.tensor([len(group), sum(map(len, group)), len(group) - cut, equal])
        self.drawn += counts
        return _shares(counts)

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """The student's total loss on a batch, with its parts."""
        contrasted = [i for i in batch if self.offers.positives[i]]
        memory = self.student.read([self.predict[i] for i in batch] + [self.explain[i] for i in contrasted])
        rows, counts, candidates, origin = self._candidates(contrasted)
        numbers = candidates.question.tolist()
        # Equal rationales of one question (doubles among its samples) go through the decoder once.
        unique: dict[tuple[int, tuple[int, ...], tuple[float, ...]], int] = {}
        slot = [
            unique.setdefault((n, tuple(r), tuple(c)), len(unique))
            for n, r, c in zip(numbers, rows, counts, strict=True)
        ]
        source = [*range(len(batch)), *(len(batch) + n for n, *_ in unique)]
        targets = [self.labels[i] for i in batch] + [list(tokens) for _, tokens, _ in unique]
        weights = [None for _ in batch] + [list(c) or None for *_, c in unique]

        generator = torch.Generator().manual_seed(derive(self.seed, "scheme", step))
        scored, values = None, None
        if self.scheme.needs_values:
            scored = self.student.score(memory, source, targets, weights if any(counts) else None)
            values = scored.values[len(batch) :][torch.tensor(slot, dtype=torch.long, device=memory.device)]
        chosen = choose(candidates, values, self.scheme, self.settings.delta, generator)
        wrong = chosen.row[~chosen.positive]
        kept = chosen.positive | self._pushes(chosen, values)
        chosen = Chosen(chosen.row[kept], chosen.coefficient[kept], chosen.positive[kept])
        picked = chosen.row.tolist()

        passed = {s: n for n, s in enumerate(dict.fromkeys(slot[r] for r in picked), len(batch))}
        wanted = [*range(len(batch)), *(len(batch) + s for s in passed)]
        if scored is not None:
            each = scored.differentiable(wanted)
        else:
            each = self.student.cross_entropy(
                memory,
                [source[w] for w in wanted],
                [targets[w] for w in wanted],
                [weights[w] for w in wanted] if any(counts) else None,
            )
        predict = each[: len(batch)].mean()
        found = each[torch.tensor([passed[slot[r]] for r in picked], dtype=torch.long, device=each.device)]
        quality = self._quality(contrasted, rows, numbers, picked)
        weight = None
        if quality is not None and self.scheme.weighted:
            acts = chosen.positive | (hinge(found.detach(), self.settings.delta) > 0)
            shuffle = torch.Generator().manual_seed(derive(self.seed, "weights", step))
            weight = weigh(quality, chosen.positive, acts, self.judge.section.weights, shuffle)
        contrast, parts = contrastive_loss(
            candidates, chosen, found, weight, self.settings.beta, self.settings.delta, self.settings.negative
        )
        if values is not None:  # all that were chosen, not only those that had to be differentiated
            considered = values[wrong]
            every = ~candidates.positive
            parts |= self.tally.add(considered, origin[wrong], (values[every], origin[every]))
        else:
            considered = found[~chosen.positive].detach()
            parts |= self.tally.add(considered, origin[chosen.row[~chosen.positive]])
        parts["negative"] = considered.mean()
        if weight is not None:
            played = origin[chosen.row] == SELFPLAY
            parts |= self.weighed(weight, chosen.positive, played & ~chosen.positive, self.settings.beta)
        loss = self.alpha1 * predict + self.alpha2 * contrast
        return {"loss": loss, "predict": predict.detach(), "contrastive": contrast.detach(), **parts}

    def _pushes(self, chosen: Chosen, values: Tensor | None) -> Tensor:
        """[C] whether a chosen negative can have a gradient at all; one beyond the margin has none."""
        if self.settings.beta == 0:
            return torch.zeros_like(chosen.positive)
        if values is None:
            return ~chosen.positive
        return ~chosen.positive & (hinge(values[chosen.row], self.settings.delta) > 0)

    def _candidates(
        self, contrasted: Sequence[int]
    ) -> tuple[list[Tokens], list[list[float]], Candidates, Tensor]:
        """The rationales, the weights of their tokens (none where all count alike), and [R] where from."""
        rows, counts, question, positive, origin = [], [], [], [], []
        for number, i in enumerate(contrasted):
            sides = self.offers.positives[i], self.offers.negatives[i] + self.played[i]
            origin += [TEACHER] * (len(rows) + len(sides[0]) + len(self.offers.negatives[i]) - len(origin))
            origin += [SELFPLAY] * len(self.played[i])
            for kind, group in zip((True, False), sides, strict=True):
                rows += group
                question += [number] * len(group)
                positive += [kind] * len(group)
            if self.settings.key_weight != 1:
                counts += key_weights(*sides, self.settings.key_weight)
        device = self.student.device
        return (
            rows,
            counts or [[] for _ in rows],
            Candidates(
                torch.tensor(question, dtype=torch.long, device=device),
                torch.tensor(positive, dtype=torch.bool, device=device),
                len(contrasted),
            ),
            torch.tensor(origin, dtype=torch.long, device=device),
        )

    def _quality(self, contrasted, rows, numbers, picked) -> Tensor | None:
        """[C] s of the chosen rationales."""
        if self.judge is None:
            return None
        asked = [(contrasted[numbers[r]], self.judged[contrasted[numbers[r]]].text, rows[r]) for r in picked]
        return self.judge.quality(asked)

    def figures(self) -> dict[str, float]:
        """What its negatives and weights were over the whole training, and the discriminator at its end."""
        found = self.tally.figures() | (_shares(self.drawn) if self.lag else {})
        if self.judge is None:
            return found
        judge = {"updates": self.judge.updates, **self.judge.figures}
        found |= {f"discriminator/{name}": value for name, value in judge.items()}
        return found | self.weighed.figures(self.settings.beta)

    def state(self) -> dict[str, Tensor]:
        """The discriminator's, and what was counted so far."""
        judge = self.judge.state() if self.judge is not None else {}
        return {**judge, **self.tally.state(), "selfplay": self.drawn, "weighed": self.weighed.totals}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        self.tally.load_state(tensors)
        self.drawn = tensors["selfplay"].to(self.drawn)
        self.weighed.totals.copy_(tensors["weighed"])
        if self.judge is not None:
            self.judge.load_state(tensors)


def _shares(drawn: Tensor) -> dict[str, float]:
    """Of counts of rationales, their tokens, those that ended by themselves and those equal to a positive."""
    count, *rest = drawn.tolist()
    names = ("tokens", "ended", "equal_positive")
    return {f"selfplay/{name}": value / max(count, 1) for name, value in zip(names, rest, strict=True)}
