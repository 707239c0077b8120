"""Distilling Step-by-Step: label task and rationale task side by side, one rationale per question."""

from collections.abc import Sequence

from torch import Tensor

from qcrd.methods.base import Ingredients, Method, Stateless, inputs
from qcrd.student.model import EXPLAIN, PREDICT


class StepByStep(Stateless):
    """alpha1 * L_pred + alpha2 * l(f(x), r), r being the question's first positive."""

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student = student
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.predict = inputs(student, PREDICT, given.questions, lengths.max_input)
        self.explain = inputs(student, EXPLAIN, given.questions, lengths.max_input)
        self.labels = student.tokens([s.label for s in given.sets], lengths.max_label)
        first = [s.positives[0] if s.positives else None for s in given.sets]
        tokens = iter(student.tokens([r for r in first if r is not None], lengths.max_rationale))
        self.rationales = [next(tokens) if r is not None else None for r in first]

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """Both tasks in one pass; a question without a rationale keeps its label loss."""
        with_rationale = [i for i in batch if self.rationales[i] is not None]
        encoded = self.student.encode(
            [self.predict[i] for i in batch] + [self.explain[i] for i in with_rationale]
        )
        targets = [self.labels[i] for i in batch] + [self.rationales[i] for i in with_rationale]
        each = self.student.cross_entropy(encoded, range(len(targets)), targets)
        predict = each[: len(batch)].mean()
        explain = each[len(batch) :].mean() if with_rationale else predict * 0
        loss = self.alpha1 * predict + self.alpha2 * explain
        return {"loss": loss, "predict": predict.detach(), "positive": explain.detach()}


USES = frozenset({"teacher", "baseline_m", "max_rationale", "alpha1", "alpha2"})
DSS = Method("dss", USES, "label", StepByStep)
