"""Finetuning: question to label, no rationales (section 4.1)."""

from collections.abc import Sequence

from torch import Tensor

from qcrd.objectives.base import Ingredients, Stateless


class Supervised(Stateless):
    """Mean over the batch of l(f(x), target), one target per question."""

    def __init__(self, given: Ingredients, targets: Sequence[Sequence[int]]):
        self.student = given.student
        self.inputs = given.student.prompts(
            "predict", [q.text for q in given.questions], given.lengths.max_input
        )
        self.targets = targets

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """L_pred."""
        encoded = self.student.read([self.inputs[i] for i in batch])
        loss = self.student.cross_entropy(encoded, range(len(batch)), [self.targets[i] for i in batch]).mean()
        return {"loss": loss, "predict": loss.detach()}


def build(given: Ingredients) -> Supervised:
    """Targets are the labels."""
    labels = [s.label for s in given.sets]
    return Supervised(given, given.student.completions(labels, given.lengths.max_label))
