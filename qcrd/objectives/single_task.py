"""Single-Task: question to rationale and label in one target sequence (section 4.2)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from qcrd import config
from qcrd.objectives.base import Ingredients
from qcrd.objectives.finetuning import Supervised


class SingleTask(Supervised):
    """Targets are the first positive and the label; the label alone where there is no positive."""

    def __init__(self, given: Ingredients):
        limit = given.lengths.max_rationale + given.lengths.max_label
        targets = [
            given.task.target(s.positives[0] if s.positives else "", label)
            for s, label in zip(given.sets, given.labels, strict=True)
        ]
        super().__init__(given, given.student.completions(targets, limit), "solve")

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """The first positive counts."""
        first = next((row for row, side in enumerate(sides) if side), None)
        return [float(row == first) for row in range(len(sides))]
