"""Answers questions with a finished cell's student, outside its grid."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from qcrd.cell.base import check_base
from qcrd.cell.finished import FinishedCell, kept_student
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell
from qcrd.training.evaluate import Evaluator
from qcrd.types import Question


@dataclass(frozen=True, slots=True)
class Answer:
    """A student's answer to one question."""

    label: str  # as compared with the gold label; "" if a generated sequence has none
    rationale: str  # "" if the method teaches none, or none was requested


class Answerer:
    """Answers as in the cell's evaluation, by greedy decoding."""

    def __init__(self, cell: ResolvedCell, student: Path):
        """Load the student from the folder that the cell kept, in the Hugging Face format."""
        self._lengths, self._method, self._task = cell.settings.student, cell.method, cell.task
        self._student = kept_student(cell, student)

    @classmethod
    def load(cls, cell: Path, student: Path) -> Answerer:
        """Create an Answerer from a cell's `cell.json` and its student's folder.

        Raises:
            ConfigError: if the base of an adapter is missing, or has other content than in training.
        """
        content = json.loads(cell.read_text())
        settings = Cell.model_validate(content["settings"])
        if settings.student.adapter is not None:
            check_base(settings.student, content["identity"]["student"]["model"])
        return cls(resolve(settings), student)

    @classmethod
    def of(cls, ended: FinishedCell) -> Answerer:
        """The Answerer of a finished cell.

        Raises:
            DataError: if its student was not kept.
        """
        ended.check_student()
        return cls(ended.cell, ended.student)

    def __call__(self, questions: Sequence[Question], explain: bool = False) -> list[Answer]:
        """Answer each question; labels need not be known.

        Args:
            questions: questions without a prompt's prefix.
            explain: whether to generate rationales too, which takes several times as long if the method
                generates them separately from the label.
        """
        texts = Evaluator(self._student, self._task, self._method, questions, self._lengths).texts()
        if self._method.written(self._lengths) == "sequence":
            parsed = [self._task.parse(text, q) for text, q in zip(texts, questions, strict=True)]
            return [Answer(p.label or "", (p.rationale or "") if explain else "") for p in parsed]
        answers = [Answer(text, "") for text in texts]
        if explain and self._method.explains:
            texts = [q.text for q in questions]
            prompts = self._student.prompts("explain", texts, self._lengths.max_input)
            completions = self._student.generate(prompts, self._lengths.max_rationale - 1)
            rationales = [self._student.text(tokens) for tokens in completions]
            answers = [replace(a, rationale=r) for a, r in zip(answers, rationales, strict=True)]
        return answers
