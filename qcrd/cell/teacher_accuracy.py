"""Accuracy of a teacher's answers per question: how many can be parsed, and the result of the vote.

Uses gold labels for reporting only; training does not use these results.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qcrd.cell.answers import read_answers
from qcrd.cell.identity import RESULT_VERSION, reading_identity, task_identity
from qcrd.cell.rationale_sets import votes
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.fingerprint import fingerprint
from qcrd.rationales.statistics import vote_statistics
from qcrd.storage.files import read_json, write_json
from qcrd.storage.home import Home
from qcrd.types import Parsed, Question, Vote

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class TeacherAccuracy:
    """Accuracy of a teacher's answers to one split of a task."""

    task: str
    teacher: str  # its model, or the file of recorded answers
    split: str
    m: int  # answers per question
    statistics: dict[str, float]  # `vote_statistics`
    path: Path  # JSON file with the results per question


def teacher_accuracies(cell: ResolvedCell, home: Home, m: int) -> Iterator[TeacherAccuracy]:
    """Accuracy on each split whose first `m` answers per question are stored.

    Results are stored in files, because reading the answers to half a million questions for every table takes
    too long. Splits with fewer recorded answers than requested are computed again, since answers may have
    been added.

    Args:
        cell: a cell with the task and the teacher.
        home: home with the samples and the result files.
        m: answers per question.
    """
    for split in SPLITS:
        path = home.teacher_accuracy / f"{_id(cell, split, m)}.json"
        stored = read_json(path)
        if stored is None or _is_short(stored["statistics"], m):
            try:
                stored = _compute(cell, home, split, m)
            except DataError:
                continue  # some answers are not drawn yet
            write_json(path, stored)
        settings = cell.settings
        yield TeacherAccuracy(settings.task.name, settings.teacher.name, split, m, stored["statistics"], path)


def _is_short(statistics: dict[str, float], m: int) -> bool:
    return statistics["samples"] < m * statistics["questions"]


def _id(cell: ResolvedCell, split: str, m: int) -> str:
    task = task_identity(cell.settings, cell.data.fingerprint)
    return fingerprint([RESULT_VERSION, task, reading_identity(cell.settings), cell.answers, split, m])


def _compute(cell: ResolvedCell, home: Home, split: str, m: int) -> dict[str, Any]:
    questions = list(getattr(cell.splits, split))
    answers = read_answers(cell, home, split, m)
    results = votes(questions, answers)
    gold = [cell.task.answer(q.label, q) for q in questions]
    rows = [_row(*inputs) for inputs in zip(questions, answers, results, gold, strict=True)]
    return {"statistics": vote_statistics(answers, results, gold), "questions": rows}


def _row(question: Question, answers: list[Parsed], result: Vote, gold: str | None) -> dict[str, Any]:
    return {
        **asdict(result),
        "gold": question.label,
        "right": sum(p.answer is not None and p.answer == gold for p in answers),
        "answers": [p.answer for p in answers],
        "unparsed": [p.reason for p in answers if p.answer is None],
    }
