"""EDIT: mistake-driven learning of key reasoning steps, in two stages.

Of the paper only a summary was at hand; where it is silent, the reading is here and in docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from qcrd import config
from qcrd.losses.contrastive import hinge
from qcrd.objectives.base import Ingredients
from qcrd.objectives.dss import StepByStep
from qcrd.objectives.tally import TEACHER, Tally
from qcrd.objectives.targets import no_loss
from qcrd.rationales.dual import Dual, closest, dual_statistics
from qcrd.student.base import Tokens


class Row(NamedTuple):
    """One target of the rationale task."""

    tokens: Sequence[int]
    weights: Sequence[float] | None  # how much each token counts in l; None is all alike
    coefficient: float  # of its l, or of its hinge
    pushed: bool  # whether its likelihood is lowered


class KeySteps(StepByStep):
    """First DSS's loss on the right rationales of a question, then on the key tokens of its dual alone.

    alpha1 * L_pred + alpha2 * L_key, where L_key is, as a mean over the questions that have a rationale,
    alpha * l(key tokens of the right one) + beta * max(delta - l(key tokens of the wrong one), 0), each l
    given the question and the tokens before. The hinge bounds what is lowered. A question without a dual
    keeps its loss of the first stage. With sequences (`student.targets`) it is L_key alone, over rationale,
    cue and label, so that a label that differs is key too.
    """

    def __init__(self, given: Ingredients):
        super().__init__(given)
        self.tally = Tally(given.edit.delta, given.student.device)
        self.settings, self.first = given.edit, given.edit.first * given.training.steps
        duals = [closest(pairs) for pairs in self._pairs(given)]
        self.key = [None if dual is None else self._key(dual) for dual in duals]
        self.statistics = {f"edit/{name}": value for name, value in dual_statistics(duals).items()}

    def _pairs(self, given: Ingredients) -> Iterator[Iterator[tuple[Tokens, Tokens]]]:
        """For each question the right and wrong completions that its dual is chosen from."""
        tokens = self.targets.tokens
        for n, group in enumerate(given.sets):
            if given.edit.duals == "prompted":
                texts = [((p.right, p.wrong), (group.label, p.wrong_label)) for p in given.pairs[n]]
                yield ((right, wrong) for right, wrong in (tokens(*each) for each in texts))
            else:
                right = tokens(group.positives, [group.label] * len(group.positives))
                yield product(right, tokens(group.negatives, group.negative_labels))

    def _key(self, dual: Dual) -> list[Row]:
        sides = (
            Row(dual.right, dual.right_keys, self.settings.alpha, False),
            Row(dual.wrong, dual.wrong_keys, self.settings.beta, True),
        )
        # A side without key tokens (where the other only adds some) has nothing to learn.
        return [row for row in sides if row.coefficient and any(row.weights or ())]

    def _rows(self, question: int) -> list[Row]:
        whole = self.pool.positives[question]
        key = self.key[question]
        return [Row(r, None, 1 / len(whole), False) for r in whole] if key is None else key

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """Both tasks in one pass; a question without a rationale keeps its label loss, if it has one."""
        if step <= self.first:
            return super().loss(batch, step)
        # With alpha or beta 0 a question can have a dual, and so count, without a row of it.
        having = sum(self.key[i] is not None or bool(self.pool.positives[i]) for i in batch)
        offered = {i: rows for i in batch if (rows := self._rows(i))}
        labelled = self._labelled(batch)
        if not labelled and not offered:
            return {"loss": no_loss(self.student)}
        prompts = [self.predict[i] for i in labelled] + [self.explain[i] for i in offered]
        encoded = self.student.read(prompts)
        source = [number for number, rows in enumerate(offered.values(), len(labelled)) for _ in rows]
        rows = [row for group in offered.values() for row in group]
        each = self.student.cross_entropy(
            encoded,
            [*range(len(labelled)), *source],
            [*(self.labels[i] for i in labelled), *(row.tokens for row in rows)],
            [*(None for _ in labelled), *(row.weights for row in rows)],
        )
        predict, found = each[: len(labelled)].mean(), each[len(labelled) :]
        coefficient = found.new_tensor([row.coefficient for row in rows])
        pushed = torch.tensor([row.pushed for row in rows], dtype=torch.bool, device=found.device)
        gap = hinge(found, self.settings.delta)
        explain = (coefficient * torch.where(pushed, gap, found)).sum() / max(having, 1)
        return {
            **self._total(predict, explain),
            "positive": found[~pushed].mean().detach(),
            "negative": found[pushed].mean().detach(),
            **self.tally.add(found[pushed], torch.full_like(pushed[pushed], TEACHER, dtype=torch.long)),
        }

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """They differ between the two stages: all right rationales, then the key tokens of two."""
        return None

    def figures(self) -> Mapping[str, float]:
        """What its wrong rationales were over the second stage."""
        return self.tally.figures()

    def state(self) -> dict[str, Tensor]:
        """What was counted so far."""
        return self.tally.state()

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        self.tally.load_state(tensors)
