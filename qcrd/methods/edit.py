"""EDIT: mistake-driven learning of key reasoning steps, in two stages.

Of the paper only a summary was at hand; where it is silent, the reading is here and in docs/methods.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor

from qcrd.losses.contrastive import hinge
from qcrd.methods.base import Ingredients, Method, Stateless, inputs
from qcrd.rationales.dual import Dual, closest, dual_statistics
from qcrd.student.model import EXPLAIN, PREDICT


class Row(NamedTuple):
    """One target of the rationale task."""

    tokens: Sequence[int]
    weights: Sequence[float] | None  # how much each token counts in l; None is all alike
    coefficient: float  # of its l, or of its hinge
    pushed: bool  # whether its likelihood is lowered


class KeySteps(Stateless):
    """First DSS's loss on all right rationales of a question, then on the key tokens of its dual alone.

    alpha1 * L_pred + alpha2 * L_key, where L_key is, as a mean over the questions that have a rationale,
    alpha * l(key tokens of the right one) + beta * max(delta - l(key tokens of the wrong one), 0), each l
    given the question and the tokens before. The hinge bounds what is lowered. A question without a dual
    keeps its loss of the first stage.
    """

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student, self.settings = student, given.edit
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.first = given.edit.first * given.training.steps
        self.predict = inputs(student, PREDICT, given.questions, lengths.max_input)
        self.explain = inputs(student, EXPLAIN, given.questions, lengths.max_input)
        self.labels = student.tokens([s.label for s in given.sets], lengths.max_label)
        rights = [student.tokens(s.positives, lengths.max_rationale) for s in given.sets]
        wrongs = [student.tokens(s.negatives, lengths.max_rationale) for s in given.sets]
        if given.edit.duals == "prompted":
            offered = [
                [student.tokens(pair, lengths.max_rationale) for pair in group] for group in given.pairs
            ]
        else:
            offered = [product(*sides) for sides in zip(rights, wrongs, strict=True)]
        duals = [closest(group) for group in offered]
        self.whole = [
            [Row(tokens, None, n / len(group), False) for tokens, n in Counter(map(tuple, group)).items()]
            for group in rights
        ]
        self.key = [self._key(dual) if dual else whole for dual, whole in zip(duals, self.whole, strict=True)]
        self.statistics = {f"edit/{name}": value for name, value in dual_statistics(duals).items()}

    def _key(self, dual: Dual) -> list[Row]:
        sides = (
            Row(dual.right, dual.right_keys, self.settings.alpha, False),
            Row(dual.wrong, dual.wrong_keys, self.settings.beta, True),
        )
        # A side without key tokens (where the other only adds some) has nothing to learn.
        return [row for row in sides if row.coefficient and any(row.weights)]

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """Both tasks in one pass; a question without a rationale keeps its label loss."""
        offered = self.whole if step <= self.first else self.key
        explained = [i for i in batch if offered[i]]
        rows = [(number, row) for number, i in enumerate(explained, len(batch)) for row in offered[i]]
        encoded = self.student.encode([self.predict[i] for i in batch] + [self.explain[i] for i in explained])
        each = self.student.cross_entropy(
            encoded,
            [*range(len(batch)), *(number for number, _ in rows)],
            [*(self.labels[i] for i in batch), *(row.tokens for _, row in rows)],
            [*(None for _ in batch), *(row.weights for _, row in rows)],
        )
        predict, found = each[: len(batch)].mean(), each[len(batch) :]
        coefficient = found.new_tensor([row.coefficient for _, row in rows])
        pushed = torch.tensor([row.pushed for _, row in rows], dtype=torch.bool, device=found.device)
        gap = hinge(found, self.settings.delta)
        explain = (coefficient * torch.where(pushed, gap, found)).sum() / max(len(explained), 1)
        return {
            "loss": self.alpha1 * predict + self.alpha2 * explain,
            "predict": predict.detach(),
            "positive": found[~pushed].mean().detach(),
            "negative": found[pushed].mean().detach(),
            "weight/active": (gap[pushed] > 0).float().mean(),
        }


USES = frozenset({"teacher", "m", "max_rationale", "alpha1", "alpha2", "edit"})
EDIT = Method("edit", USES, "label", KeySteps)
