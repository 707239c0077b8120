"""How good a teacher's answers are, question by question: how many can be read, and what the vote says.

Gold labels are used here for reporting alone; nothing of this reaches a training.
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
    """Of a teacher's answers to one split of a task."""

    task: str
    teacher: str  # its model, or the file of recorded answers
    split: str
    m: int  # answers per question
    statistics: dict[str, float]  # `vote_statistics`
    path: Path  # JSON with the same for every question


def teacher_accuracies(cell: ResolvedCell, home: Home, m: int) -> Iterator[TeacherAccuracy]:
    """The accuracy on each split whose first `m` answers are in the store.

    It is kept in a file, because reading the answers to half a million questions for every table takes too
    long. Where recorded answers are too few it is measured anew, since more of them may have come.
    """
    for split in SPLITS:
        path = home.yields / f"{_id(cell, split, m)}.json"
        measured = read_json(path)
        if measured is None or _is_short(measured["statistics"], m):
            try:
                measured = _measure(cell, home, split, m)
            except DataError:
                continue  # not drawn, or not all of it
            write_json(path, measured)
        settings = cell.settings
        yield TeacherAccuracy(
            settings.task.name, settings.teacher.name, split, m, measured["statistics"], path
        )


def _is_short(statistics: dict[str, float], m: int) -> bool:
    return statistics["samples"] < m * statistics["questions"]


def _id(cell: ResolvedCell, split: str, m: int) -> str:
    task = task_identity(cell.settings, cell.data.fingerprint)
    return fingerprint([RESULT_VERSION, task, reading_identity(cell.settings), cell.answers, split, m])


def _measure(cell: ResolvedCell, home: Home, split: str, m: int) -> dict[str, Any]:
    questions = list(getattr(cell.splits, split))
    answers = read_answers(cell, home, split, m)
    results = votes(questions, answers)
    gold = [cell.task.answer(q.label, q) for q in questions]
    rows = [_row(*each) for each in zip(questions, answers, results, gold, strict=True)]
    return {"statistics": vote_statistics(answers, results, gold), "questions": rows}


def _row(question: Question, answers: list[Parsed], result: Vote, gold: str | None) -> dict[str, Any]:
    return {
        **asdict(result),
        "gold": question.label,
        "right": sum(p.answer is not None and p.answer == gold for p in answers),
        "answers": [p.answer for p in answers],
        "unparsed": [p.reason for p in answers if p.answer is None],
    }
