"""A finished cell's student, to be asked from Python."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import overload

from qcrd.cell.answering import Answer, Answerer
from qcrd.cell.finished import FinishedCell
from qcrd.types import Question


class Student:
    """A trained student that answers questions as in its evaluation, by greedy decoding."""

    def __init__(self, ended: FinishedCell):
        """Load the student of a finished cell, on a GPU if there is one.

        Raises:
            DataError: if it was not kept.
        """
        self._answer = Answerer.of(ended)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a text is an iterable of texts too, and comes first
        self, questions: str, choices: Sequence[str] = ..., rationale: bool = ...
    ) -> Answer: ...
    @overload
    def __call__(
        self, questions: Iterable[str | Question], choices: Sequence[str] = ..., rationale: bool = ...
    ) -> list[Answer]: ...

    def __call__(
        self, questions: str | Iterable[str | Question], choices: Sequence[str] = (), rationale: bool = True
    ) -> Answer | list[Answer]:
        """Answer one question, or several at once.

        Args:
            questions: texts as the student reads them in training (the choices, where there are any, are part
                of it), or questions of a task.
            choices: the allowed labels of questions that are given as texts; a student that writes rationale
                and label in one text needs them where the labels are choices.
            rationale: whether to write rationales too, which takes several times as long.

        Returns:
            `label` and `rationale` for each question; one answer for one text. A rationale is "" if the
            student's method teaches none, a label if none can be read.
        """
        asked = [questions] if isinstance(questions, str) else list(questions)
        answers = self._answer(
            [
                each if isinstance(each, Question) else Question(str(number), each, "", tuple(choices))
                for number, each in enumerate(asked)
            ],
            rationale,
        )
        return answers[0] if isinstance(questions, str) else answers
