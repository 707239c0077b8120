"""What a teacher's answers are worth, question by question: how many could be read, and what the vote says.

Gold labels are used here for reporting alone; nothing of this reaches a training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from qcrd.cell.identity import RESULT_VERSION, reading_identity, task_identity
from qcrd.cell.preparation import answers_identity, data_fingerprint, load_task, parsed
from qcrd.config import Cell
from qcrd.errors import DataError
from qcrd.fingerprint import fingerprint
from qcrd.rationales.statistics import vote_statistics
from qcrd.rationales.vote import vote
from qcrd.storage.files import read_json, write_json
from qcrd.storage.home import Home
from qcrd.types import Parsed, Question

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True)
class Yield:
    """A teacher's answers to one split of a task."""

    task: str
    teacher: str  # its model, or the file of recorded answers
    split: str
    m: int  # answers per question
    statistics: dict[str, float]  # `vote_statistics`
    path: Path  # JSON with the same for every question


def yields(cell: Cell, home: Home, m: int) -> Iterator[Yield]:
    """The yield of each split whose first `m` answers are in the store.

    It is kept in a file: the answers to half a million questions are not parsed for every table. Where
    recorded answers are too few it is measured anew, since more of them may have come.
    """
    for split in SPLITS:
        path = home.yields / f"{_id(cell, split, m)}.json"
        found = read_json(path)
        if found is None or found["statistics"]["samples"] < m * found["statistics"]["questions"]:
            try:
                found = _measure(cell, home, split, m)
            except DataError:
                continue  # not drawn, or not all of it
            write_json(path, found)
        yield Yield(cell.task.name, cell.teacher.name, split, m, found["statistics"], path)


def _id(cell: Cell, split: str, m: int) -> str:
    data = data_fingerprint(cell.task)
    reading = reading_identity(cell)
    return fingerprint([RESULT_VERSION, task_identity(cell, data), reading, answers_identity(cell), split, m])


def _measure(cell: Cell, home: Home, split: str, m: int) -> dict[str, Any]:
    task, splits = load_task(cell.task)
    questions = list(getattr(splits, split))
    answers = parsed(cell, home, split, m)
    gold = [task.answer(q.label, q) for q in questions]
    rows = [_row(*each) for each in zip(questions, answers, gold, strict=True)]
    return {"statistics": vote_statistics(answers, gold), "questions": rows}


def _row(question: Question, answers: list[Parsed], gold: str | None) -> dict[str, Any]:
    result = asdict(vote(question.id, answers))
    return {
        **result,
        "gold": question.label,
        "right": sum(p.answer is not None and p.answer == gold for p in answers),
        "answers": [p.answer for p in answers],
        "unparsed": [p.reason for p in answers if p.answer is None],
    }
