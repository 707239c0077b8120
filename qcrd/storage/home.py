"""The home: the folder with all persistent data, shared by all grids of a user or a cluster.

Machines without a shared folder each have a home, and synchronise them through a bucket.
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

RECORD, PREDICTIONS = "record.json", "predictions.json"  # files in a cell's folder
STUDENT = "student"  # folder of a cell's student, in the Hugging Face format
ERROR = "error.txt"  # traceback of a failed attempt


@dataclass(frozen=True, slots=True)
class Home:
    """The folders below QCRD_HOME (default ~/.qcrd), on one machine or on shared storage.

    Attributes:
        root: the folder.
        bucket: object storage that machines without a shared folder synchronise through.
    """

    root: Path
    bucket: Bucket | None = None

    @classmethod
    def default(cls) -> Home:
        """The home at QCRD_HOME (default ~/.qcrd), with the bucket at QCRD_STORE if that is set."""
        root = Path(os.environ.get("QCRD_HOME") or "~/.qcrd").expanduser().absolute()
        return cls.at(root, os.environ.get("QCRD_STORE") or None)

    @classmethod
    def at(cls, root: Path, store: str | None) -> Home:
        """The home in a folder, with a bucket if a URL is given."""
        return cls(root, Bucket(store, root) if store else None)

    @property
    def store(self) -> str | None:
        """URL of the bucket; None without one."""
        return self.bucket.url if self.bucket else None

    def __str__(self) -> str:
        return f"{self.store} (here: {self.root})" if self.bucket else str(self.root)

    def check(self) -> None:
        """Check, before long work begins, that the folder and the bucket are writable.

        Raises:
            StoreError: if not; the message says what to do.
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
        """A lock on a folder, not yet acquired; see `FolderLock` for the arguments."""
        return FolderLock(folder, self.bucket, lease=lease, wanted=wanted, exact=exact, background=background)

    def lock_cell(self, cell_id: str) -> FolderLock:
        """A lock on a cell's folder, which training requires; not yet acquired."""
        return self.lock(self.cell(cell_id), exact=True, background=True)

    def fetch(self, folder: Path) -> Path:
        """Download a folder's files from the bucket, if there is one; returns the folder."""
        if self.bucket:
            self.bucket.pull(folder, lambda name: not name.startswith("."))
        return folder

    def upload(self, path: Path) -> None:
        """Upload a file that was written without a lock to the bucket, if there is one."""
        if self.bucket:
            self.bucket.put(path)

    def student(self, cell_id: str) -> Path:
        """Folder of a cell's final student; it does not exist if the student was not kept."""
        return self.fetch(self.cell(cell_id) / STUDENT)

    def with_short_timeout(self) -> Home:
        """A copy whose bucket operations give up after a few seconds."""
        return Home(self.root, self.bucket.with_short_timeout() if self.bucket else None)

    def refresh(self, cells: Iterable[str] | None = None, patience: float = 0.0) -> None:
        """Synchronise results and journals of cells with the bucket, without weights.

        Downloads what other machines have written. Uploads cells that only this machine has finished, before
        the bucket was configured or while it was unreachable.

        Args:
            cells: ids of the cells; None: all in the bucket.
            patience: seconds to wait for a cell that another process of this machine has locked.
        """
        if self.bucket is None:
            return
        objects: dict[str, dict[str, tuple[int, int]]] = {}
        for name, stamp in self.bucket.list(self.cell("_").parent).items():
            cell_id, _, file = name.partition("/")
            objects.setdefault(cell_id, {})[file] = stamp
        for cell_id in sorted(objects) if cells is None else cells:
            names = objects.get(cell_id, {})
            if RECORD not in names and self.record(cell_id) is not None:
                lock = self.lock_cell(cell_id)
                if lock.acquire(timeout=0):
                    lock.release()
                continue
            folder = self.cell(cell_id)
            changed = [n for n, stamp in names.items() if _small(n) and stamp_of(folder / n) != stamp]
            local_lease = Lease(folder / "lease")
            # A local process that trains the cell has newer files than the bucket.
            if changed and local_lease.acquire(patience):
                try:
                    self.bucket.get(folder / name for name in changed)
                finally:
                    local_lease.release()

    @property
    def samples(self) -> Path:
        """Folder of the teachers' samples, with a folder per sampler."""
        return self.root / "samples"

    @property
    def teachers(self) -> Path:
        """Folder of teachers that qcrd trains itself."""
        return self.root / "teachers"

    @property
    def models(self) -> Path:
        """Folder of pretrained models from Python packages, with a folder per model."""
        return self.root / "models"

    @property
    def teacher_accuracy(self) -> Path:
        """Folder of statistics of the teachers' accuracy (`yields`), with a file per split of a task."""
        return self.root / "yields"

    @property
    def plugins(self) -> Path:
        """Folder with copies of the plugins that grids used, for reference; never executed."""
        return self.root / "plugins"

    def rate(self, sampler: str) -> Path:
        """File with the measured throughput of a sampler, for estimates."""
        return self.root / "rates" / f"{sampler}.json"

    @property
    def discriminators(self) -> Path:
        """Folder of pretrained discriminators."""
        return self.root / "discriminators"

    def cell(self, cell_id: str) -> Path:
        """Folder of one cell: journal, checkpoints, weights, predictions, record."""
        return self.root / "cells" / cell_id

    def grid(self, name: str) -> Path:
        """Folder of one grid: its last configuration, its MLflow runs, its tables."""
        return self.root / "grids" / name

    def record(self, cell_id: str) -> CellRecord | None:
        """The record of a finished cell; None if it is not finished or its record is damaged."""
        fields = read_sealed(self.cell(cell_id) / RECORD)
        if fields is None:
            return None
        try:
            return CellRecord(**fields)
        except TypeError:  # unexpected fields
            return None

    def predictions(self, record: CellRecord) -> dict[str, list[Prediction]]:
        """Predictions of a finished cell at the chosen step, by split; {} if there are none.

        Raises:
            DamagedResult: if they do not match the record's checksum.
        """
        path = self._checked(record)
        by_split = read_json(path) or {}
        try:
            return {
                split: [Prediction(**row) for row in rows]
                for split, rows in by_split.items()
                if isinstance(rows, list)
            }
        except TypeError as error:  # damaged predictions of an earlier version, which has no checksum
            raise DamagedResult(path) from error

    def check_result(self, cell_id: str) -> None:
        """Check that a cell's record and predictions, if any, are undamaged; restore them from the bucket.

        Raises:
            DamagedResult: if they are damaged, in the bucket as well.
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
        elif record is not None:  # an earlier version without checksum: check that it can be parsed
            self.predictions(record)
        elif path.exists():
            raise DamagedResult(path)

    def _checked(self, record: CellRecord) -> Path:
        path = self.cell(record.id) / PREDICTIONS
        if path.exists() and record.predictions_sha256 not in ("", checksum(path)):
            raise DamagedResult(path)
        return path

    def forget_result(self, cell_id: str) -> None:
        """Delete a cell's record, so that the cell is trained again."""
        path = self.cell(cell_id) / RECORD
        path.unlink(missing_ok=True)
        if self.bucket:
            self.bucket.remove([path])


def _small(name: str) -> bool:
    """Whether a cell's file is small: not weights and not in a subfolder."""
    return "/" not in name and name.endswith((".json", ".jsonl", ".txt")) and not name.startswith("best-")


def checksum(path: Path) -> str:
    """SHA-256 of a file's bytes; "" if it does not exist."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""
