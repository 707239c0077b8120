"""Where everything that lasts is kept: one folder, shared by all grids of a user or a cluster."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from qcrd.errors import DamagedResult
from qcrd.files import atomic, read_json, read_sealed
from qcrd.types import CellRecord, Prediction

RECORD, PREDICTIONS = "record.json", "predictions.json"  # of a cell


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below QCRD_HOME (default ~/.qcrd). On a cluster it lies on storage that all nodes share."""

    root: Path

    @classmethod
    def default(cls) -> Home:
        """What QCRD_HOME names, or ~/.qcrd."""
        return cls(Path(os.environ.get("QCRD_HOME") or "~/.qcrd").expanduser().absolute())

    def check(self) -> None:
        """See that files can be written there, before anything that takes long begins.

        Raises:
            StoreError: where they cannot, with what to do.
        """
        probe = self.root / f"probe-{os.getpid()}"
        with atomic(probe) as temporary:
            temporary.touch()
        probe.unlink(missing_ok=True)

    @property
    def samples(self) -> Path:
        """The teacher's samples, a folder for each sampler."""
        return self.root / "samples"

    @property
    def teachers(self) -> Path:
        """Teachers trained here."""
        return self.root / "teachers"

    @property
    def yields(self) -> Path:
        """What the teacher's answers are worth, a file for each split of a task."""
        return self.root / "yields"

    @property
    def plugins(self) -> Path:
        """Files of code that grids ran with, to be read by people alone."""
        return self.root / "plugins"

    def rate(self, sampler: str) -> Path:
        """How fast a sampler was, for estimates."""
        return self.root / "rates" / f"{sampler}.json"

    @property
    def discriminators(self) -> Path:
        """Pretrained discriminators."""
        return self.root / "discriminators"

    def cell(self, cell_id: str) -> Path:
        """Folder of one cell: journal, checkpoints, weights, predictions, record."""
        return self.root / "cells" / cell_id

    def grid(self, name: str) -> Path:
        """Folder of one grid: what was last run under its name, its runs in MLflow, its tables."""
        return self.root / "grids" / name

    def record(self, cell_id: str) -> CellRecord | None:
        """The record of a finished cell; None where it is not finished or its record is damaged."""
        try:
            return CellRecord(**read_sealed(self.cell(cell_id) / RECORD))
        except TypeError:  # absent, or not what a record is
            return None

    def predictions(self, record: CellRecord) -> dict[str, list[Prediction]]:
        """A finished cell's answers at the chosen step by split; {} where there are none.

        Raises:
            DamagedResult: where they are not those that the record is of.
        """
        path = self._checked(record)
        found = read_json(path) or {}
        try:
            return {
                split: [Prediction(**row) for row in rows]
                for split, rows in found.items()
                if isinstance(rows, list)
            }
        except TypeError as error:  # of earlier times, when there was no checksum
            raise DamagedResult(path) from error

    def check_result(self, cell_id: str) -> None:
        """Make sure that a cell's record and answers, where there are any, are as they were written.

        Raises:
            DamagedResult: where they are not.
        """
        path, record = self.cell(cell_id) / RECORD, self.record(cell_id)
        if record is not None and record.predictions_sha256:
            self._checked(record)
        elif record is not None:  # of earlier times: whether it can be read is all that can be seen
            self.predictions(record)
        elif path.exists():
            raise DamagedResult(path)

    def _checked(self, record: CellRecord) -> Path:
        path = self.cell(record.id) / PREDICTIONS
        if path.exists() and record.predictions_sha256 not in ("", checksum(path)):
            raise DamagedResult(path)
        return path

    def forget_result(self, cell_id: str) -> None:
        """Take a cell's record away, so that it is trained again."""
        (self.cell(cell_id) / RECORD).unlink(missing_ok=True)


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes; "" where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
