"""The two cells whose rationales are compared, and the questions that both are asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qcrd.cell.finished import Ended
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.methods import METHODS
from qcrd.seeds import derive
from qcrd.storage.home import STUDENT, Home
from qcrd.types import Question


@dataclass(frozen=True, slots=True)
class Explainer:
    """A finished cell whose student was taught to explain, and is still there."""

    id: str
    name: str  # for people, as its grid named it
    cell: ResolvedCell
    folder: Path

    @property
    def student(self) -> Path:
        """Its student in the Hugging Face format."""
        return self.folder / STUDENT

    @classmethod
    def find(cls, home: Home, prefix: str) -> Explainer:
        """The cell whose id begins with `prefix`.

        Raises:
            ConfigError: where no cell or several have such an id, or its settings are of another version.
            DataError: where it is not finished, writes no rationales, kept no student, or its data changed.
        """
        ended = Ended.find(home, prefix)
        if ended.record.status != "done":
            raise DataError(
                f"cell {ended.id} ended as {ended.record.status}; only finished cells can be judged"
            )
        explainer = cls(ended.id, ended.name, ended.cell, ended.folder)
        method = ended.cell.method
        if not method.explains:
            able = [name for name, each in METHODS.items() if each.explains]
            raise DataError(
                f"cell {ended.id} ({ended.name}): its method {method.name!r} teaches no rationales; "
                f"allowed: {', '.join(able)}"
            )
        if not explainer.student.is_dir():
            raise DataError(
                f"cell {ended.id} ({ended.name}): its student was not kept; set resources.keep_students: "
                f"true, remove the folder {ended.folder} and run its grid again"
            )
        ended.check_data()
        return explainer


def common_questions(first: Explainer, second: Explainer, n: int, seed: int) -> list[Question]:
    """`n` random test questions of the task that both cells have, the same whichever comes first.

    They are the first n of a random order that depends on the seed and the questions' ids alone, so that
    asking for more keeps those that have been judged already.

    Raises:
        DataError: where the cells' tasks or test sets differ, or there are fewer questions.
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
