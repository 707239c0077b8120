"""Where everything that lasts is kept: one folder, shared by all grids of a user or a cluster.

Where machines share no folder, a bucket is behind the folders of all of them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from qcrd.errors import DamagedResult
from qcrd.storage.bucket import Bucket, stamp_of
from qcrd.storage.files import atomic, read_json, read_sealed
from qcrd.storage.folder_lock import FolderLock
from qcrd.storage.lease import Lease
from qcrd.types import CellRecord, Prediction

RECORD, PREDICTIONS = "record.json", "predictions.json"  # of a cell
STUDENT = "student"  # folder of its student, in the Hugging Face format


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below QCRD_HOME (default ~/.qcrd), of one machine or on storage that all machines share.

    Attributes:
        root: the folder.
        bucket: object storage behind it, which machines share that share no folder.
    """

    root: Path
    bucket: Bucket | None = None

    @classmethod
    def default(cls) -> Home:
        """What QCRD_HOME names, or ~/.qcrd, with the bucket that QCRD_STORE names, if any."""
        root = Path(os.environ.get("QCRD_HOME") or "~/.qcrd").expanduser().absolute()
        return cls.at(root, os.environ.get("QCRD_STORE") or None)

    @classmethod
    def at(cls, root: Path, store: str | None) -> Home:
        """The home in a folder, with the bucket of that URL behind it."""
        return cls(root, Bucket(store, root) if store else None)

    @property
    def store(self) -> str | None:
        """URL of the bucket."""
        return self.bucket.url if self.bucket else None

    def __str__(self) -> str:
        return f"{self.store} (here: {self.root})" if self.bucket else str(self.root)

    def check(self) -> None:
        """See that files, and objects, can be written there, before anything that takes long begins.

        Raises:
            StoreError: where they cannot, with what to do.
        """
        probe = self.root / f"probe-{os.getpid()}"
        with atomic(probe) as temporary:
            temporary.touch()
        probe.unlink(missing_ok=True)
        if self.bucket:
            self.bucket.check()

    def lock(
        self,
        folder: Path,
        *,
        lease: Path | None = None,
        wanted: Callable[[str], bool] = bool,
        exact: bool = False,
        background: bool = False,
    ) -> FolderLock:
        """The right to write in a folder; see `FolderLock`."""
        return FolderLock(folder, self.bucket, lease=lease, wanted=wanted, exact=exact, background=background)

    def lock_cell(self, cell_id: str) -> FolderLock:
        """The right to train a cell."""
        return self.lock(self.cell(cell_id), exact=True, background=True)

    def fetch(self, folder: Path) -> Path:
        """The folder, with all that the bucket has of it."""
        if self.bucket:
            self.bucket.pull(folder, lambda name: not name.startswith("."))
        return folder

    def upload(self, path: Path) -> None:
        """Bring a file to the bucket that was written without a hold."""
        if self.bucket:
            self.bucket.put(path)

    def student(self, cell_id: str) -> Path:
        """Folder of the student that a cell ended with; not there where it was not kept."""
        return self.fetch(self.cell(cell_id) / STUDENT)

    def with_short_timeout(self) -> Home:
        """The same for who cannot wait for the bucket."""
        return Home(self.root, self.bucket.with_short_timeout() if self.bucket else None)

    def refresh(self, cells: Iterable[str] | None = None, patience: float = 0.0) -> None:
        """Bring here what other machines have said of these cells (None: of all): no weights.

        What only this machine knows to be finished, from a time before there was a bucket or while it was
        away, is brought there.

        Args:
            cells: their ids.
            patience: seconds that a cell which somebody holds here is waited for.
        """
        if self.bucket is None:
            return
        there: dict[str, dict[str, tuple[int, int]]] = {}
        for name, stamp in self.bucket.list(self.cell("_").parent).items():
            cell_id, _, file = name.partition("/")
            there.setdefault(cell_id, {})[file] = stamp
        for cell_id in sorted(there) if cells is None else cells:
            names = there.get(cell_id, {})
            if RECORD not in names and self.record(cell_id) is not None:
                lock = self.lock_cell(cell_id)
                if lock.acquire(timeout=0):
                    lock.release()
                continue
            folder = self.cell(cell_id)
            news = [n for n, stamp in names.items() if _small(n) and stamp_of(folder / n) != stamp]
            here = Lease(folder / "lease")
            if news and here.acquire(patience):  # who holds it here knows more than the bucket
                try:
                    self.bucket.get(folder / name for name in news)
                finally:
                    here.release()

    @property
    def samples(self) -> Path:
        """The teacher's samples, a folder for each sampler."""
        return self.root / "samples"

    @property
    def teachers(self) -> Path:
        """Teachers trained here."""
        return self.root / "teachers"

    @property
    def models(self) -> Path:
        """Pretrained models that came with packages, a folder for each."""
        return self.root / "models"

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
        fields = read_sealed(self.cell(cell_id) / RECORD)
        if fields is None:
            return None
        try:
            return CellRecord(**fields)
        except TypeError:  # not the fields of a record
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
            DamagedResult: where they are not, nor in the bucket.
        """
        try:
            self._check_result(cell_id)
        except DamagedResult:
            if self.bucket is None:
                raise
            self.bucket.get(self.cell(cell_id) / name for name in (RECORD, PREDICTIONS))
            self._check_result(cell_id)

    def _check_result(self, cell_id: str) -> None:
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
        path = self.cell(cell_id) / RECORD
        path.unlink(missing_ok=True)
        if self.bucket:
            self.bucket.remove([path])


def _small(name: str) -> bool:
    """Whether a cell's file is one to look at: neither weights nor in a folder."""
    return "/" not in name and name.endswith((".json", ".jsonl", ".txt")) and not name.startswith("best-")


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes; "" where there is none."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
