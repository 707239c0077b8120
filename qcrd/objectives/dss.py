"""Distilling Step-by-Step: label task and rationale task side by side, one rationale per question."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from qcrd import config
from qcrd.losses.likelihood import row_means
from qcrd.objectives.base import Ingredients, Stateless
from qcrd.objectives.rationale_pool import RationalePool
from qcrd.objectives.targets import RationaleTargets, no_loss
from qcrd.student.device import to_device
from qcrd.student.selfplay import Snapshots


class StepByStep(Stateless):
    """alpha1 * L_pred + alpha2 * l(f(x), r), meaned over the question's selected rationales r.

    With sequences (`student.targets`) it is l alone, of rationale, cue and label in one text.

    Both are means over the questions of each target's token-mean, as QCRD's l and all other
    methods here. DSS's own trainer takes the mean over all tokens of the batch, in which a long rationale
    counts for more than a short one; with equal lengths the two are the same.
    """

    def __init__(self, given: Ingredients):
        student, lengths = given.student, given.lengths
        self.student = student
        self.alpha1, self.alpha2 = given.training.alpha1, given.training.alpha2
        self.targets = RationaleTargets.of(given)
        self.predict = student.prompts("predict", [q.text for q in given.questions], lengths.max_input)
        self.explain = student.prompts(
            self.targets.kind, [q.text for q in given.questions], lengths.max_input
        )
        self.labels = student.completions(given.labels, lengths.max_label)
        self.pool = RationalePool(given)

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Select the iteration's rationales."""
        return self.pool.begin_iteration(iteration, coming)

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """Both tasks in one pass; a question without a rationale keeps its label loss, if it has one."""
        explained = [i for i in batch if self.pool.positives[i]]
        labelled = self._labelled(batch)
        if not labelled and not explained:
            return {"loss": no_loss(self.student)}
        rationales = [(n, r) for n, i in enumerate(explained) for r in self.pool.positives[i]]
        prompts = [self.predict[i] for i in labelled] + [self.explain[i] for i in explained]
        encoded = self.student.read(prompts)
        source = [*range(len(labelled)), *(len(labelled) + n for n, _ in rationales)]
        targets = [self.labels[i] for i in labelled] + [r for _, r in rationales]
        each = self.student.cross_entropy(encoded, source, targets)
        predict = each[: len(labelled)].mean()
        explain = predict * 0
        if explained:
            question = to_device([n for n, _ in rationales], self.student.device)
            explain = row_means(each[len(labelled) :], question, len(explained)).mean()
        return {**self._total(predict, explain), "positive": explain.detach()}

    def _labelled(self, batch: Sequence[int]) -> Sequence[int]:
        """Questions of the batch that have the label task: in sequences none."""
        return () if self.targets.sequence else batch

    def _total(self, predict: Tensor, explain: Tensor) -> dict[str, Tensor]:
        if self.targets.sequence:
            return {"loss": explain}
        loss = self.alpha1 * predict + self.alpha2 * explain
        return {"loss": loss, "predict": predict.detach()}

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """The selected rationales count alike."""
        selected = sum(side is True for side in sides)
        return [1 / selected if side else 0.0 for side in sides]
