"""QCRD: quality-guided contrastive rationale distillation (section 3)."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from qcrd.config import Selection
from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, Chosen, choose, contrastive_loss, hinge
from qcrd.losses.weights import Weighed, weigh
from qcrd.methods.base import Ingredients, Method, Stateless, inputs
from qcrd.methods.offers import Offers
from qcrd.rationales.dual import key_weights
from qcrd.student.batches import derive
from qcrd.student.model import EXPLAIN, PREDICT
from qcrd.student.selfplay import Snapshots, self_play
from qcrd.student.weights import set_weights

Tokens = list[int]


class Contrastive(Stateless):
    """alpha1 * L_pred + alpha2 * L_cl (Eq. 8); L_D has its own optimiser, since it shares no parameter.

    A step encodes each question once per task prefix, runs all rationales that a scheme must compare through
    the decoder once, without gradient, and differentiates only the chosen ones, whose forward pass is not
    repeated (see `qcrd.student.tape`). The choice is made under the step's dropout, as where each rationale
    has a pass of its own.
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
        self.predict = inputs(student, PREDICT, given.questions, lengths.max_input)
        self.explain = inputs(student, EXPLAIN, given.questions, lengths.max_input)
        self.labels = student.tokens([s.label for s in given.sets], lengths.max_label)
        self.offers = Offers(given)
        self.played: list[list[Tokens]] = [[] for _ in given.sets]
        self.lag = given.selfplay.lag if given.selfplay.k else 0
        self.player = copy.deepcopy(student).requires_grad_(False) if self.lag else None

    @property
    def statistics(self) -> dict[str, float]:
        """So far: updates and last figures of the discriminator, mean weights, and what they make of beta."""
        if self.judge is None:
            return {}
        found = {"updates": self.judge.updates, **self.judge.figures}
        found = {f"discriminator/{name}": value for name, value in found.items()}
        return found | self.weighed.statistics(self.settings.beta)

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Select positives and draw self-play negatives for the coming questions, then update the judge."""
        figures = self.offers.begin_iteration(iteration, coming)
        if self.player is not None:
            figures |= self._play(iteration, snapshots, coming)
        if self.judge is not None:
            questions = [replace(self.judged[i], played=self.played[i]) for i in coming]
            found = self.judge.update(questions, iteration)
            figures |= {f"discriminator/{name}": value for name, value in found.items()}
        return figures

    def _play(self, iteration: int, snapshots: Snapshots, coming: Sequence[int]) -> dict[str, float]:
        set_weights(self.player, snapshots.before(iteration))
        # A question without positives is out of the contrastive loss, so nothing is played for it.
        contrasted = [i for i in coming if self.offers.positives[i]]
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
            "selfplay/equal_positive": sum(r in self.offers.positives[i] for i, r in flat)
            / max(len(flat), 1),
        }

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """The student's total loss on a batch, with its parts."""
        contrasted = [i for i in batch if self.offers.positives[i]]
        memory = self.student.encode([self.predict[i] for i in batch] + [self.explain[i] for i in contrasted])
        rows, counts, candidates, played = self._candidates(contrasted)
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
        considered = values[chosen.row[~chosen.positive]] if values is not None else None
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
        if considered is not None:  # all that were chosen, not only those that had to be differentiated
            parts["weight/active"] = (hinge(considered, self.settings.delta) > 0).float().mean()
        else:
            considered = found[~chosen.positive].detach()
        parts["negative"] = considered.mean()
        if weight is not None:
            parts |= self.weighed(weight, chosen.positive, played[chosen.row], self.settings.beta)
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
        """The rationales with the weights of their tokens, which are none where all count alike; and which
        of them are of self-play, [R] bool."""
        rows, counts, question, positive, played = [], [], [], [], []
        for number, i in enumerate(contrasted):
            sides = self.offers.positives[i], self.offers.negatives[i] + self.played[i]
            for kind, group in zip((True, False), sides, strict=True):
                rows += group
                question += [number] * len(group)
                positive += [kind] * len(group)
            own = len(self.played[i])
            played += [False] * (sum(map(len, sides)) - own) + [True] * own
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
            torch.tensor(played, dtype=torch.bool, device=device),
        )

    def _quality(self, contrasted, rows, numbers, picked) -> Tensor | None:
        """[C] s of the chosen rationales."""
        if self.judge is None:
            return None
        asked = [(contrasted[numbers[r]], self.judged[contrasted[numbers[r]]].text, rows[r]) for r in picked]
        return self.judge.quality(asked)

    def state(self) -> dict[str, Tensor]:
        """The discriminator's, and what it weighed."""
        return {**self.judge.state(), "weighed": self.weighed.totals} if self.judge is not None else {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        if self.judge is not None:
            self.judge.load_state(tensors)
            self.weighed.totals.copy_(tensors["weighed"])


USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2"})
USES |= {"contrastive", "selfplay", "discriminator"}
QCRD = Method("qcrd", USES, "label", Contrastive, Selection(rule="all", accuracy=True, diversity=False))
