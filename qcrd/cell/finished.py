"""Finds a finished cell by the beginning of its id."""

from __future__ import annotations

import difflib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell
from qcrd.errors import ConfigError, DataError
from qcrd.quick_imports import quick_model_imports
from qcrd.seeds import derive
from qcrd.storage.files import read_json
from qcrd.storage.home import STUDENT, Home
from qcrd.types import CellRecord

if TYPE_CHECKING:
    from qcrd.student.base import Student

MAX_SUGGESTIONS = 4  # cells that an error message names
_ID = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class FinishedCell:
    """A finished cell: its settings, its record and its folder."""

    cell: ResolvedCell
    record: CellRecord
    folder: Path

    @property
    def id(self) -> str:
        """The cell's id."""
        return self.record.id

    @property
    def name(self) -> str:
        """The cell's name in its grid."""
        return self.record.name

    @property
    def student(self) -> Path:
        """Folder of its student in the Hugging Face format; exists if the student was kept."""
        return self.folder / STUDENT

    @classmethod
    def find(cls, home: Home, prefix: str) -> FinishedCell:
        """Find the cell whose id begins with `prefix`.

        Raises:
            ConfigError: if no cell or several cells have such an id, or its settings are of another version.
            DataError: if it is not finished.
            DamagedResult: if its record or predictions are damaged.
        """
        home.refresh()
        cell_id = whole_id(home, prefix)
        record = home.record(cell_id)
        home.check_result(cell_id)
        home.student(cell_id)
        if record is None:
            raise DataError(f"cell {cell_id} is not finished; `qcrd run` its grid first")
        try:
            settings = Cell.model_validate_json(json.dumps(record.settings))
        except ValidationError as error:
            raise ConfigError(
                f"cell {cell_id}: its settings are of another version of qcrd ({error.error_count()} are "
                "invalid); run its grid again with this version"
            ) from error
        return cls(resolve(settings), record, home.cell(cell_id))

    def check_student(self) -> None:
        """Check that its student was kept.

        Raises:
            DataError: if not; says which setting keeps it, and how to train the cell again.
        """
        if self.record.status != "done":
            raise DataError(f"cell {self.id} ({self.name}) has no student: it {self.record.status}")
        if not self.student.is_dir():
            raise DataError(
                f"cell {self.id} ({self.name}): its student was not kept; set resources.keep_students: true "
                f"in its grid, then `qcrd rm {self.id}` and `qcrd train GRID --cell {self.id}` train it "
                "again, to the same figures"
            )

    def check_data(self) -> None:
        """Check that the questions are those that it was trained on.

        Raises:
            DataError: if they differ or cannot be loaded.
        """
        if self.cell.data.fingerprint != self.record.identity["task"]["data"]:
            raise DataError(
                f"cell {self.id} ({self.name}): task.source no longer holds the data that it was trained "
                "on; restore it, or run its grid again"
            )


def kept_student(cell: ResolvedCell, folder: Path) -> Student:
    """Load a cell's student as it was evaluated, on a GPU if there is one."""
    with quick_model_imports():
        import torch

        from qcrd.student.load import load_student

    section = cell.settings.student
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if section.adapter is not None:  # the folder has only the adapter; its base is that of the training
        from qcrd.student.causal.adapter import base_revision

        section = section.model_copy(update={"revision": base_revision(folder) or section.revision})
        student = load_student(section, derive(cell.settings.seed, "init"), device, cue=cell.task.cue)
        student.load_adapter(folder)
        return student
    here = {"checkpoint": str(folder), "revision": None, "tokenizer": None}
    kept = section.model_copy(update=here)
    return load_student(kept, cell.settings.seed, device, cue=cell.task.cue)


def whole_id(home: Home, prefix: str) -> str:
    """The full id of the cell whose id begins with `prefix`.

    Raises:
        ConfigError: if no cell or several cells match; suggests similar cells.
    """
    ids = sorted(folder.name for folder in home.cell("_").parent.glob("*") if _ID.fullmatch(folder.name))
    matching = [cell_id for cell_id in ids if cell_id.startswith(prefix)] if prefix else []
    if len(matching) == 1 or prefix in matching:
        return prefix if prefix in matching else matching[0]
    if matching:
        subject = f"{len(matching)} cells ({', '.join(matching[:MAX_SUGGESTIONS])}, ...) in {home} have"
    else:
        subject = f"no cell in {home} has"
    suggestions = [] if matching else _suggestions(home, prefix, ids)
    raise ConfigError(
        f"cell {prefix!r}: {subject} an id that begins like this; allowed: the id of a cell, or a "
        "unique beginning of one (`qcrd plan GRID` lists them)"
        + (f"; similar: {', '.join(suggestions)}" if suggestions else "")
    )


def _suggestions(home: Home, prefix: str, ids: list[str]) -> list[str]:
    """Cells with similar names, then cells with similar beginnings of ids, as `id (name)`."""
    names = {cell_id: (read_json(home.cell(cell_id) / "cell.json") or {}).get("name", "") for cell_id in ids}
    similar = difflib.get_close_matches(prefix, set(names.values()), n=MAX_SUGGESTIONS)
    by_name = [c for c in ids if prefix and (prefix in names[c] or names[c] in similar)]
    ratio = {c: difflib.SequenceMatcher(None, prefix, c[: len(prefix)]).ratio() for c in ids}
    by_id = sorted((c for c in ids if ratio[c] >= 0.5), key=lambda c: -ratio[c])
    return [f"{c} ({names[c]})" for c in list(dict.fromkeys([*by_name, *by_id]))[:MAX_SUGGESTIONS]]
