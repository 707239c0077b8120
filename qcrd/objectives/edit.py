"""EDIT: mistake-driven learning of key reasoning steps, in two stages.

Of the paper only a summary was at hand; where it is silent, the reading is here and in docs/methods.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from qcrd import config
from qcrd.losses.contrastive import hinge
from qcrd.objectives.base import Ingredients
from qcrd.objectives.dss import StepByStep
from qcrd.objectives.tally import TEACHER, Tally
from qcrd.rationales.dual import Dual, closest, dual_statistics


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
    keeps its loss of the first stage.
    """

    def __init__(self, given: Ingredients):
        super().__init__(given)
        self.tally = Tally(given.edit.delta, given.student.device)
        self.settings, self.first = given.edit, given.edit.first * given.training.steps
        duals = [closest(pairs) for pairs in _pairs(given)]
        self.key = [None if dual is None else self._key(dual) for dual in duals]
        self.statistics = {f"edit/{name}": value for name, value in dual_statistics(duals).items()}

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
        """Both tasks in one pass; a question without a rationale keeps its label loss."""
        if step <= self.first:
            return super().loss(batch, step)
        # With alpha or beta 0 a question can have a dual, and so count, without a row of it.
        having = sum(self.key[i] is not None or bool(self.pool.positives[i]) for i in batch)
        offered = {i: rows for i in batch if (rows := self._rows(i))}
        encoded = self.student.read([self.predict[i] for i in batch] + [self.explain[i] for i in offered])
        source = [number for number, rows in enumerate(offered.values(), len(batch)) for _ in rows]
        rows = [row for group in offered.values() for row in group]
        each = self.student.cross_entropy(
            encoded,
            [*range(len(batch)), *source],
            [*(self.labels[i] for i in batch), *(row.tokens for row in rows)],
            [*(None for _ in batch), *(row.weights for row in rows)],
        )
        predict, found = each[: len(batch)].mean(), each[len(batch) :]
        coefficient = found.new_tensor([row.coefficient for row in rows])
        pushed = torch.tensor([row.pushed for row in rows], dtype=torch.bool, device=found.device)
        gap = hinge(found, self.settings.delta)
        explain = (coefficient * torch.where(pushed, gap, found)).sum() / max(having, 1)
        return {
            "loss": self.alpha1 * predict + self.alpha2 * explain,
            "predict": predict.detach(),
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


def _pairs(given: Ingredients):
    """For each question the right and wrong rationales, as tokens, that its dual is chosen from."""
    tokens, limit = given.student.completions, given.lengths.max_rationale
    if given.edit.duals == "prompted":
        return ((tokens(pair, limit) for pair in group) for group in given.pairs)
    return (product(tokens(s.positives, limit), tokens(s.negatives, limit)) for s in given.sets)
