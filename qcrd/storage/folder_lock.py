"""Exclusive access to a folder of the home, synchronised with the bucket if there is one.

Without a bucket (one machine, or storage that all machines share) a folder lock is a single lease. With a
bucket it is two leases, one among the processes of this machine and one among all machines. The folder is
downloaded when the lock is acquired, and uploaded while it is held and before it is released.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from qcrd.storage.bucket import LAST, LINES, Bucket, Look, look, stamp_of
from qcrd.storage.bucket_leases import BucketLeases
from qcrd.storage.files import read_json, write_json
from qcrd.storage.lease import EXPIRY, Holder, Lease, LeaseLost

_LAST_RANK = 3  # upload rank of the files in `LAST`
EVERY = 10.0  # seconds between background uploads: the most work lost with a machine
_CHECKPOINT = "checkpoint-"

log = logging.getLogger(__name__)


class _Remote:
    """The bucket of a folder lock, with the lease that all machines share."""

    def __init__(self, bucket: Bucket, lease: Path, expiry: float):
        self.bucket, self._store = bucket, BucketLeases(bucket, lease)
        self.lease = Lease(self._store, expiry=expiry)

    def shorten_timeout(self) -> None:
        """Give up after `bucket.SHORT_PATIENCE` seconds from now on."""
        self.bucket = self.bucket.with_short_timeout()
        self._store.shorten_timeout()


class FolderLock:
    """Exclusive write access to a folder; as a context manager it waits until it acquires the lock.

    Args:
        folder: folder of the home.
        bucket: the home's bucket, if it has one.
        lease: path of the lease; default `folder/lease`.
        wanted: predicate on the files to synchronise, by their name relative to the folder. Temporary files
            and leases are never synchronised.
        exact: whether deletions are synchronised too, in both directions. The local folder is kept as it is
            if this machine held the lock last, or if only this machine has a result or a checkpoint.
        background: whether to upload changes every `EVERY` seconds, in addition to calls of `push`.
        expiry: seconds without a heartbeat after which the lease expires.
    """

    def __init__(
        self,
        folder: Path,
        bucket: Bucket | None = None,
        *,
        lease: Path | None = None,
        wanted: Callable[[str], bool] = bool,
        exact: bool = False,
        background: bool = False,
        expiry: float = EXPIRY,
    ):
        lease = lease or folder / "lease"
        self.folder = folder
        self._here = Lease(lease, expiry=expiry)
        self._remote = _Remote(bucket, lease, expiry) if bucket else None
        self._lease, self._note = lease, lease.with_name(f".{lease.name}-held")
        self._lost: LeaseLost | None = None
        self._wanted, self._exact, self._background = wanted, exact, background
        self._sent: dict[str, Look | None] = {}  # files in the bucket, with the local state when uploaded
        self._busy, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, timeout: float | None = None) -> bool:
        """Acquire the lock, waiting up to `timeout` seconds (None: without limit); see `Lease.acquire`.

        Returns:
            Whether the lock was acquired.

        Raises:
            StoreError: if the folder or the bucket cannot be written.
        """
        end = None if timeout is None else time.monotonic() + timeout
        if not self._here.acquire(timeout):
            return False
        if self._remote is None:
            return True
        try:
            taken = self._remote.lease.acquire(None if end is None else max(0.0, end - time.monotonic()))
            if taken:
                self._lost = None
                self._fetch(self._remote)
        except BaseException:
            self._release_leases()
            raise
        if not taken:
            self._here.release()
        elif self._background:
            self._stop = threading.Event()
            self._thread = threading.Thread(target=self._keep_pushing, name="qcrd-bucket", daemon=True)
            self._thread.start()
        return taken

    def check(self) -> None:
        """Check that this process still holds the lock, among all machines as of the last `push`.

        Raises:
            StoreError: if another process has taken it over.
        """
        if self._lost:
            raise self._lost
        self._here.check()

    def push(self, gone: Iterable[str] = ()) -> None:
        """Upload changed files to the bucket and delete removed ones from it.

        The order keeps the bucket consistent after an interruption: journals precede checkpoints that refer
        to them, a checkpoint follows the snapshots and best weights that it names, and the record comes last.
        Deletions are in the reverse order.

        Args:
            gone: names of files to delete from the bucket; with `exact`, deleted files are detected.

        Raises:
            StoreError: if the upload fails, or another machine has taken over the lock.
        """
        remote = self._remote
        if remote is None:
            return
        with self._busy:
            self._here.check()  # if the whole folder was removed, the bucket's files must stay
            files = self._files()
            changed = sorted((name for name in files if self._sent.get(name) != files[name]), key=_rank)
            gone = {*gone, *(self._sent.keys() - files.keys() if self._exact else ())}
            if not changed and not gone:
                return
            self._check_remote(remote)
            complete = True
            for name in changed:
                if _rank(name)[0] == _LAST_RANK:
                    self._check_remote(remote)  # the uploads before may have taken long
                # None if the file was removed meanwhile: it may be in the bucket all the same, and is deleted
                # from there by the next push.
                self._sent[name] = remote.bucket.put(self.folder / name)
                complete = complete and self._sent[name] is not None
            # If a new checkpoint vanished before its upload, the old one in the bucket must stay.
            if complete:
                remote.bucket.remove(self.folder / name for name in sorted(gone, key=_rank, reverse=True))
                for name in gone:
                    self._sent.pop(name, None)

    def _check_remote(self, remote: _Remote) -> None:
        try:
            remote.lease.check()
        except LeaseLost as error:
            self._lost = error
            raise

    def in_bucket(self, name: str) -> bool:
        """Whether the bucket had a file of that name when the lock was acquired, or got one since."""
        return name in self._sent

    def release(self, bring: bool = True) -> None:
        """Release the lock.

        Args:
            bring: whether to upload remaining changes first; the lock is released even if that fails.

        Raises:
            StoreError: if the upload fails.
        """
        try:
            if self._remote is not None:
                self._stop.set()
                if bring:
                    self.push()
        finally:
            self._release_leases()

    def holder(self) -> Holder | None:
        """The process that holds the lock, on this machine or another; None if none is known."""
        local_holder = self._here.holder()
        if local_holder or self._remote is None:
            return local_holder
        return Lease(BucketLeases(self._remote.bucket.with_short_timeout(), self._lease)).holder()

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.release()
            return
        if self._remote is not None:  # an interrupted process must not wait for the bucket
            self._remote.shorten_timeout()
        try:
            self.release()
        except Exception as trouble:
            log.warning("%s", trouble)  # the first error is the one that is raised

    def _release_leases(self) -> None:
        self._stop.set()
        if self._remote is not None:
            self._remote.lease.release()
        self._here.release()

    def _fetch(self, remote: _Remote) -> None:
        """Update the folder from the bucket, unless the local files are newer."""
        objects = {n: stamp for n, stamp in remote.bucket.list(self.folder).items() if self._synchronised(n)}
        local, number = self._files(), remote.lease.number
        held_last = read_json(self._note) == number - 1  # so the bucket has not changed since
        if objects and not held_last and not _is_ahead(local, objects):
            remote.bucket.pull(self.folder, self._synchronised)
            if self._exact:
                for name in local.keys() - objects.keys():
                    (self.folder / name).unlink(missing_ok=True)
        elif not self._exact:
            remote.bucket.pull(self.folder, lambda name: self._synchronised(name) and name not in local)
        write_json(self._note, number)
        self._sent = dict.fromkeys(objects)
        for name, stamp in objects.items():
            with suppress(FileNotFoundError):
                if stamp_of(self.folder / name) == stamp:
                    self._sent[name] = look(self.folder / name)

    def _files(self) -> dict[str, Look]:
        """State of all local files to synchronise, by name, with all that its checkpoints refer to."""
        while True:
            checkpoints = self._checkpoints()
            states = self._listed()
            # One that came or went meanwhile may refer to files that were not there yet, or not any more.
            if checkpoints == self._checkpoints():
                return states

    def _checkpoints(self) -> dict[str, Look]:
        states = {}
        for path in self.folder.rglob(f"{_CHECKPOINT}*"):
            with suppress(FileNotFoundError):
                states[str(path)] = look(path)
        return states

    def _listed(self) -> dict[str, Look]:
        states = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            with suppress(FileNotFoundError):
                if self._synchronised(name) and path.is_file() and not path.is_symlink():
                    states[name] = look(path)
        # JSON lines again: a checkpoint seen above may refer to lines written since.
        for path in self.folder.rglob(f"*{LINES}"):
            name = path.relative_to(self.folder).as_posix()
            with suppress(FileNotFoundError):
                if self._synchronised(name):
                    states[name] = look(path)
        return states

    def _synchronised(self, name: str) -> bool:
        parts = name.split("/")
        internal = any(part.startswith(".") or part == "lease" or part.endswith(".lease") for part in parts)
        return not internal and self._wanted(name)

    def _keep_pushing(self) -> None:
        failing = False
        while not self._stop.wait(EVERY):
            try:
                self.push()
            except Exception as error:  # of any kind: the next upload may succeed
                if not failing:
                    log.warning("%s; the work goes on and the rest is brought there later", error)
                failing = True
            else:
                failing = False


def _rank(name: str) -> tuple[int, str]:
    """Sort key of a file in the order of uploads."""
    file_name = name.rpartition("/")[2]
    if file_name.endswith(LINES):
        return 0, name
    if file_name.startswith(_CHECKPOINT):
        return 2, name
    return (_LAST_RANK if file_name in LAST else 1), name


def _is_ahead(local: Mapping[str, object], objects: Mapping[str, object]) -> bool:
    """Whether only the local folder has a result, or only it has a checkpoint."""
    if any(name in local and name not in objects for name in LAST):
        return True
    begun = any(name.startswith(_CHECKPOINT) for name in local)
    return begun and not any(name.startswith(_CHECKPOINT) or name in LAST for name in objects)
