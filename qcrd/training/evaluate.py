"""What the student gets right, by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd import config
from qcrd.methods.base import Method
from qcrd.student.base import Student
from qcrd.tasks.base import Task
from qcrd.types import Prediction, Question


class Evaluator:
    """Asks the student one list of questions, as often as wanted; tokenised once."""

    def __init__(
        self,
        student: Student,
        task: Task,
        method: Method,
        questions: Sequence[Question],
        lengths: config.Student,
    ):
        """`questions` carry the labels to compare with: gold, or the teacher's on validation (Table 3)."""
        self.student, self.task, self.questions = student, task, questions
        self.sequence = method.writes == "sequence"
        self.inputs = student.prompts("predict", [q.text for q in questions], lengths.max_input)
        self.limit = lengths.max_label + (lengths.max_rationale if self.sequence else 0)

    def __call__(self) -> list[Prediction]:
        """One prediction per question, in order."""
        found = []
        for question, text in zip(self.questions, self.texts(), strict=True):
            label = self.task.parse(text, question).label if self.sequence else text
            right = label is not None and self.task.correct(label, question)
            found.append(Prediction(question.id, text, question.label, right))
        return found

    def texts(self) -> list[str]:
        """What the student writes to each question, in order: the label, or rationale and label."""
        return [self.student.text(tokens) for tokens in self.student.generate(self.inputs, self.limit)]


def accuracy(predictions: Sequence[Prediction]) -> float:
    """Percent correct; 0 for none."""
    return 100 * sum(p.correct for p in predictions) / max(len(predictions), 1)
