"""Finetuning: question to label, no rationales (section 4.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from qcrd import config
from qcrd.objectives.base import Ingredients, Stateless
from qcrd.student.base import Kind


class Supervised(Stateless):
    """Mean over the batch of l(f(x), target), one target per question."""

    def __init__(self, given: Ingredients, targets: Sequence[Sequence[int]], kind: Kind):
        """`kind` is what the targets answer."""
        self.student = given.student
        self.inputs = given.student.prompts(kind, [q.text for q in given.questions], given.lengths.max_input)
        self.targets = targets

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """L_pred."""
        prompts = self.student.read([self.inputs[i] for i in batch])
        loss = self.student.cross_entropy(prompts, range(len(batch)), [self.targets[i] for i in batch]).mean()
        return {"loss": loss, "predict": loss.detach()}


class Finetuning(Supervised):
    """Targets are the labels."""

    def __init__(self, given: Ingredients):
        super().__init__(given, given.student.completions(given.labels, given.lengths.max_label), "predict")

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """No rationale counts."""
        return [0.0 for _ in sides]
