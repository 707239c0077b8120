"""Evaluation of the student by greedy decoding."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd import config
from qcrd.methods.base import Method
from qcrd.student.base import Kind, Student
from qcrd.tasks.base import Task, predicted_label
from qcrd.types import Prediction, Question


class Evaluator:
    """Evaluates the student on one list of questions, which is tokenised once."""

    def __init__(
        self,
        student: Student,
        task: Task,
        method: Method,
        questions: Sequence[Question],
        lengths: config.Student,
    ):
        """Tokenise the questions.

        Args:
            student: the student.
            task: task that parses and compares labels.
            method: method by which the student is trained.
            questions: with the labels to compare with: gold, or on validation the teacher's (Table 3).
            lengths: maximum lengths of inputs, rationales and labels.
        """
        self.student, self.task, self.questions = student, task, questions
        self.sequence = method.written(lengths) == "sequence"
        kind: Kind = "solve" if self.sequence else "predict"
        self.inputs = student.prompts(kind, [q.text for q in questions], lengths.max_input)
        self.limit = lengths.max_label + (lengths.max_rationale if self.sequence else 0)

    def __call__(self) -> list[Prediction]:
        """One prediction per question, in order."""
        predictions = []
        for question, text in zip(self.questions, self.texts(), strict=True):
            label = predicted_label(self.task, question, text, self.sequence)
            correct = label is not None and self.task.correct(label, question)
            predictions.append(Prediction(question.id, text, question.label, correct))
        return predictions

    def texts(self) -> list[str]:
        """Outputs for the questions, in order: the label, or rationale and label."""
        return [self.student.text(tokens) for tokens in self.student.generate(self.inputs, self.limit)]


def accuracy(predictions: Sequence[Prediction]) -> float:
    """Percentage of correct predictions; 0 if there are none."""
    return 100 * sum(p.correct for p in predictions) / max(len(predictions), 1)
