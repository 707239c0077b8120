"""The two cells whose rationales are compared, and the test questions for the comparison."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcrd.cell.finished import FinishedCell
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.methods import METHODS
from qcrd.seeds import derive
from qcrd.storage.home import STUDENT, Home
from qcrd.types import Question


@dataclass(frozen=True, slots=True)
class Explainer:
    """A finished cell with a stored student that was trained to write rationales."""

    id: str
    name: str  # display name from its grid
    cell: ResolvedCell
    folder: Path

    @property
    def student(self) -> Path:
        """Folder of the student in Hugging Face format."""
        return self.folder / STUDENT

    @classmethod
    def find(cls, home: Home, prefix: str) -> Explainer:
        """The cell whose id begins with `prefix`.

        Raises:
            ConfigError: if no cell or several cells match, or the cell's settings have another version.
            DataError: if the cell is not finished, writes no rationales, has no stored student, or its data
                has changed.
        """
        ended = FinishedCell.find(home, prefix)
        if ended.record.status != "done":
            raise DataError(
                f"cell {ended.id} ended as {ended.record.status}; only finished cells can be judged"
            )
        explainer = cls(ended.id, ended.name, ended.cell, ended.folder)
        method = ended.cell.method
        if not method.explains:
            allowed = [name for name, each in METHODS.items() if each.explains]
            raise DataError(
                f"cell {ended.id} ({ended.name}): its method {method.name!r} teaches no rationales; "
                f"allowed: {', '.join(allowed)}"
            )
        if not explainer.student.is_dir():
            raise DataError(
                f"cell {ended.id} ({ended.name}): its student was not kept; set resources.keep_students: "
                f"true, remove the folder {ended.folder} and run its grid again"
            )
        ended.check_data()
        return explainer


def common_questions(first: Explainer, second: Explainer, n: int, seed: int) -> list[Question]:
    """`n` random test questions of the cells' common task; independent of the order of the cells.

    They are the first n in a random order that depends only on the seed and the question ids, so that a
    larger n includes the questions of a smaller one.

    Raises:
        DataError: if the cells' tasks or test sets differ, or there are fewer than n questions.
    """
    tests = [side.cell.splits.test for side in (first, second)]
    names = [side.cell.settings.task.name for side in (first, second)]
    if names[0] != names[1]:
        raise DataError(
            f"cells {first.id} and {second.id} are of different tasks, {names[0]} and {names[1]}; allowed: "
            "two cells of one task"
        )
    if _content(tests[0]) != _content(tests[1]):
        raise DataError(
            f"cells {first.id} and {second.id} have different test sets of {names[0]} ({len(tests[0])} and "
            f"{len(tests[1])} questions); allowed: cells with the same task.source, task.test and task.seed"
        )
    if n > len(tests[0]):
        raise DataError(
            f"{n} questions are to be judged, the test set of {names[0]} has {len(tests[0])}; lower "
            "--questions"
        )
    return sorted(tests[0], key=lambda q: (derive(seed, "judging", q.id), q.id))[:n]


def _content(questions: Sequence[Question]) -> list[tuple[str, str, str]]:
    return sorted((q.id, q.text, q.label) for q in questions)
