"""QCRD: quality-guided contrastive rationale distillation (section 3)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, Chosen, choose, contrastive_loss, hinge
from qcrd.methods.base import Ingredients, Method, inputs
from qcrd.student.batches import derive
from qcrd.student.model import EXPLAIN, PREDICT
from qcrd.student.selfplay import Snapshots, self_play
from qcrd.student.weights import set_weights

Tokens = list[int]


class Contrastive:
    """alpha1 * L_pred + alpha2 * L_cl (Eq. 8); L_D has its own optimiser, since it shares no parameter.

    A step encodes each question once per task prefix, scores the rationales that a scheme must compare
    without gradient, and differentiates only the chosen ones. Rationales that occur twice in a question
    are computed once.
    """

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student = student
        self.settings, self.selfplay = given.contrastive, given.selfplay
        self.scheme = SCHEMES[given.contrastive.scheme]
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.limit, self.seed = lengths.max_rationale, given.seed
        # Without dropout a scored l is the l of the training pass, so that a hinge of 0 needs no pass.
        self.exact = lengths.dropout == 0
        self.judge, self.judged = given.judge, given.judged
        self.predict = inputs(student, PREDICT, given.questions, lengths.max_input)
        self.explain = inputs(student, EXPLAIN, given.questions, lengths.max_input)
        self.labels = student.tokens([s.label for s in given.sets], lengths.max_label)
        self.positives = [student.tokens(s.positives, self.limit) for s in given.sets]
        self.negatives = [student.tokens(s.negatives, self.limit) for s in given.sets]
        self.played: list[list[Tokens]] = [[] for _ in given.sets]
        self.lag = given.selfplay.lag if given.selfplay.k else 0
        self.player = copy.deepcopy(student).requires_grad_(False) if self.lag else None

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Draw self-play negatives for the iteration's questions, then update the discriminator on them."""
        figures = self._play(iteration, snapshots, coming) if self.player is not None else {}
        if self.judge is not None:
            questions = [
                replace(self.judged[i], negatives=self.judged[i].negatives + self.played[i]) for i in coming
            ]
            found = self.judge.update(questions, iteration)
            figures |= {f"discriminator/{name}": value for name, value in found.items()}
        return figures

    def _play(self, iteration: int, snapshots: Snapshots, coming: Sequence[int]) -> dict[str, float]:
        set_weights(self.player, snapshots.before(iteration))
        # A question without positives is out of the contrastive loss, so nothing is played for it.
        contrasted = [i for i in coming if self.positives[i]]
        rows = [self.explain[i] for i in contrasted]
        drawn = self_play(
            self.player, rows, self.selfplay.k, self.selfplay.tau, self.limit, self.seed, iteration
        )
        self.played = [[] for _ in self.played]
        for i, group in zip(contrasted, drawn, strict=True):
            self.played[i] = group
        flat = [(i, r) for i, group in zip(contrasted, drawn, strict=True) for r in group]
        return {
            "selfplay/tokens": sum(len(r) for _, r in flat) / max(len(flat), 1),
            # A sample equal to a positive is pushed away all the same; the judge is there to see it.
            "selfplay/equal_positive": sum(r in self.positives[i] for i, r in flat) / max(len(flat), 1),
        }

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """The student's total loss on a batch, with its parts."""
        device = self.student.device
        contrasted = [i for i in batch if self.positives[i]]
        asked_for = [self.predict[i] for i in batch] + [self.explain[i] for i in contrasted]
        encoded = self.student.encode(asked_for)
        rows, candidates = self._candidates(contrasted)
        source = candidates.question + len(batch)

        generator = torch.Generator().manual_seed(derive(self.seed, "scheme", step))
        values = None
        if self.scheme.needs_values:
            values = self._score(contrasted, encoded, source, rows, candidates)
        chosen = choose(candidates, values, self.scheme, self.settings.delta, generator)
        scored = values[chosen.row[~chosen.positive]] if values is not None else None
        kept = chosen.positive | self._pushes(chosen, values)
        chosen = Chosen(chosen.row[kept], chosen.coefficient[kept], chosen.positive[kept])
        picked = chosen.row.tolist()
        numbers = candidates.question.tolist()

        # Equal rationales of one question (a mean over doubles) go through the decoder once.
        unique: dict[tuple[int, tuple[int, ...]], int] = {}
        slot = [unique.setdefault((numbers[r], tuple(rows[r])), len(unique)) for r in picked]
        targets = [self.labels[i] for i in batch] + [list(tokens) for _, tokens in unique]
        asked = torch.tensor([*range(len(batch)), *(len(batch) + q for q, _ in unique)], device=device)
        each = self.student.cross_entropy(encoded, asked, targets)

        predict = each[: len(batch)].mean()
        found = each[len(batch) :][torch.tensor(slot, dtype=torch.long, device=device)]
        quality = self._quality(contrasted, rows, numbers, picked)
        weight = None
        if quality is not None and self.scheme.weighted:
            weight = torch.where(chosen.positive, quality, 1 - quality)
        contrast, parts = contrastive_loss(
            candidates, chosen, found, weight, self.settings.beta, self.settings.delta, self.settings.negative
        )
        if scored is not None and self.exact:  # all that were chosen, not only those that had to be passed
            parts["weight/active"] = (hinge(scored, self.settings.delta) > 0).float().mean()
        else:
            scored = found[~chosen.positive].detach()
        parts["negative"] = scored.mean()
        if weight is not None:
            parts["weight/positive"] = weight[chosen.positive].mean()
            parts["weight/negative"] = weight[~chosen.positive].mean()
        loss = self.alpha1 * predict + self.alpha2 * contrast
        return {"loss": loss, "predict": predict.detach(), "contrastive": contrast.detach(), **parts}

    def _pushes(self, chosen: Chosen, values: Tensor | None) -> Tensor:
        """[C] whether a chosen negative can have a gradient at all; one beyond the margin has none."""
        if self.settings.beta == 0:
            return torch.zeros_like(chosen.positive)
        if values is None or not self.exact:
            return ~chosen.positive
        return ~chosen.positive & (hinge(values[chosen.row], self.settings.delta) > 0)

    def _candidates(self, contrasted: Sequence[int]) -> tuple[list[Tokens], Candidates]:
        rows, question, positive = [], [], []
        for number, i in enumerate(contrasted):
            for kind, group in ((True, self.positives[i]), (False, self.negatives[i] + self.played[i])):
                rows += group
                question += [number] * len(group)
                positive += [kind] * len(group)
        device = self.student.device
        return rows, Candidates(
            torch.tensor(question, dtype=torch.long, device=device),
            torch.tensor(positive, dtype=torch.bool, device=device),
            len(contrasted),
        )

    @torch.no_grad()
    def _score(self, contrasted, encoded, source, rows, candidates) -> Tensor:
        """[R] l of what a choice or a hinge depends on; 0 for lone positives, which win anyway.

        The choice is made without dropout: which rationale the student finds likely should not depend on
        the step's mask.
        """
        numbers, kinds = candidates.question.tolist(), candidates.positive.tolist()
        groups: dict[tuple[int, bool], dict[tuple[int, ...], list[int]]] = {}
        for r, tokens in enumerate(rows):
            groups.setdefault((numbers[r], kinds[r]), {}).setdefault(tuple(tokens), []).append(r)
        rivals = [
            same
            for (_, positive), group in groups.items()
            if len(group) > 1 or (self.exact and not positive)
            for same in group.values()
        ]
        values = torch.zeros(len(rows), device=source.device)
        if not rivals:
            return values
        if not self.exact:
            self.student.eval()
            encoded = self.student.encode([self.explain[i] for i in contrasted])
            source = candidates.question
        first = [same[0] for same in rivals]
        found = self.student.cross_entropy(encoded, source[first], [rows[r] for r in first])
        self.student.train()
        where = [r for same in rivals for r in same]
        copies = torch.tensor([n for n, same in enumerate(rivals) for _ in same], device=source.device)
        values[where] = found[copies]
        return values

    def _quality(self, contrasted, rows, numbers, picked) -> Tensor | None:
        """[C] s of the chosen rationales."""
        if self.judge is None:
            return None
        asked = [(contrasted[numbers[r]], self.judged[contrasted[numbers[r]]].text, rows[r]) for r in picked]
        return self.judge.quality(asked)

    def state(self) -> dict[str, Tensor]:
        """The discriminator's."""
        return self.judge.state() if self.judge is not None else {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """The discriminator's."""
        if self.judge is not None:
            self.judge.load_state(tensors)


USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2"})
USES |= {"contrastive", "selfplay", "discriminator"}
QCRD = Method("qcrd", USES, "label", Contrastive)
