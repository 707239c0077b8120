"""The right to write in a folder of the home, and with a bucket behind it, the folder as the bucket has it.

On one machine, or on storage that all machines share, a hold is a lease and nothing else. With a bucket it is
two, one for the processes of this machine and one for all machines, and the folder is brought here when it is
taken, to the bucket while it is held, and once more before it is given back.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from qcrd.storage.bucket import LAST, LINES, Bucket, Look, look, stamp_of
from qcrd.storage.files import read_json, write_json
from qcrd.storage.lease import EXPIRY, Holder, Lease, LeaseLost

LATE = 3  # rank of `LAST`
EVERY = 10.0  # seconds between two looks for what the bucket does not have: what the loss of a machine costs
_CHECKPOINT = "checkpoint-"

log = logging.getLogger(__name__)


class _Remote:
    """The bucket behind a hold, with the lease on the folder that all machines share."""

    def __init__(self, bucket: Bucket, lease: Path, expiry: float):
        self.bucket, self._objects = bucket, bucket.lease_store(lease)
        self.lease = Lease(self._objects, expiry=expiry)

    def shorten_timeout(self) -> None:
        """Wait for nothing any more."""
        self.bucket = self.bucket.with_short_timeout()
        self._objects.shorten_timeout()


class FolderLock:
    """A lease on a folder; a context that waits for it.

    Args:
        folder: of the home.
        bucket: what is behind the home, if anything.
        lease: where its numbered files are; in the folder unless it is said.
        wanted: of the folder's files, by name below it; temporary ones and leases never.
        exact: whether files go from here that the bucket does not have, and from there that have gone here.
            Where this machine held it last, or alone is further, the folder counts as it is here.
        background: whether what changes is brought to the bucket as time goes by, not only by `push`.
        expiry: of the lease.
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
        self._sent: dict[str, Look | None] = {}  # what the bucket has, and how it looked here
        self._busy, self._stop = threading.Lock(), threading.Event()
        self._thread: threading.Thread | None = None

    def acquire(self, timeout: float | None = None) -> bool:
        """Take it, waiting up to `timeout` seconds (None: as long as it takes); see `Lease.acquire`.

        Raises:
            StoreError: where folder or bucket cannot be written.
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
        """Make sure that nobody has taken it: of the processes of this machine, or as the last `push` saw.

        Raises:
            StoreError: where one has.
        """
        if self._lost:
            raise self._lost
        self._here.check()

    def push(self, gone: Iterable[str] = ()) -> None:
        """Bring what has changed to the bucket, and take away there what has gone here.

        Whoever goes on from there after any interruption finds whole what it needs: journals come before
        checkpoints that point into them, a checkpoint after what it says was best, the record last.

        Args:
            gone: files to be taken away there; an exact folder's are found.

        Raises:
            StoreError: where the bucket does not take it, or another machine went on in this one's place.
        """
        remote = self._remote
        if remote is None:
            return
        with self._busy:
            self._here.check()  # a folder that was removed is no reason to remove what the bucket has
            files = self._files()
            news = sorted((name for name in files if self._sent.get(name) != files[name]), key=_rank)
            gone = {*gone, *(self._sent.keys() - files.keys() if self._exact else ())}
            if not news and not gone:
                return
            self._check_everywhere(remote)
            all_there = True
            for name in news:
                if _rank(name)[0] == LATE:
                    self._check_everywhere(remote)  # it took a while to get here
                sent = remote.bucket.put(self.folder / name)
                if sent is None:
                    all_there = False
                else:
                    self._sent[name] = sent
            # A checkpoint that has gone before it was there must not cost the one that is there.
            if all_there:
                remote.bucket.remove(self.folder / name for name in gone)
                for name in gone:
                    self._sent.pop(name, None)

    def _check_everywhere(self, remote: _Remote) -> None:
        try:
            remote.lease.check()
        except LeaseLost as error:
            self._lost = error
            raise

    def in_bucket(self, name: str) -> bool:
        """Whether the bucket has a file of that name, as far as was seen when the hold was taken."""
        return name in self._sent

    def release(self, bring: bool = True) -> None:
        """Give the lease back, in any case, and before that bring the rest to the bucket, if that is wanted.

        Raises:
            StoreError: where the bucket did not take the rest.
        """
        try:
            if self._remote is not None:
                self._stop.set()
                if bring:
                    self.push()
        finally:
            self._release_leases()

    def holder(self) -> Holder | None:
        """Who holds it, here or elsewhere; None where nobody is known to."""
        found = self._here.holder()
        if found or self._remote is None:
            return found
        return Lease(self._remote.bucket.with_short_timeout().lease_store(self._lease)).holder()

    def __enter__(self) -> FolderLock:
        self.acquire()
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            self.release()
            return
        if self._remote is not None:  # who was stopped does not wait
            self._remote.shorten_timeout()
        try:
            self.release()
        except Exception as trouble:
            log.warning("%s", trouble)  # what went wrong first is what is raised

    def _release_leases(self) -> None:
        self._stop.set()
        if self._remote is not None:
            self._remote.lease.release()
        self._here.release()

    def _fetch(self, remote: _Remote) -> None:
        """Make the folder what the bucket has, unless what is here is newer."""
        there = {name: stamp for name, stamp in remote.bucket.list(self.folder).items() if self._kept(name)}
        here, number = self._files(), remote.lease.number
        held_last = read_json(self._note) == number - 1  # since then nobody could bring anything there
        if there and not held_last and not _is_ahead(here, there):
            remote.bucket.pull(self.folder, self._kept)
            if self._exact:
                for name in here.keys() - there.keys():
                    (self.folder / name).unlink(missing_ok=True)
        elif not self._exact:
            remote.bucket.pull(self.folder, lambda name: self._kept(name) and name not in here)
        write_json(self._note, number)
        self._sent = dict.fromkeys(there)
        for name, stamp in there.items():
            with suppress(FileNotFoundError):
                if stamp_of(self.folder / name) == stamp:
                    self._sent[name] = look(self.folder / name)

    def _files(self) -> dict[str, Look]:
        """How what is here looks."""
        found = {}
        for path in self.folder.rglob("*"):
            name = path.relative_to(self.folder).as_posix()
            with suppress(FileNotFoundError):
                if self._kept(name) and path.is_file() and not path.is_symlink():
                    found[name] = look(path)
        for path in self.folder.rglob(f"*{LINES}"):  # once more: a checkpoint may point to the last lines
            name = path.relative_to(self.folder).as_posix()
            with suppress(FileNotFoundError):
                if self._kept(name):
                    found[name] = look(path)
        return found

    def _kept(self, name: str) -> bool:
        parts = name.split("/")
        ours = any(part.startswith(".") or part == "lease" or part.endswith(".lease") for part in parts)
        return not ours and self._wanted(name)

    def _keep_pushing(self) -> None:
        failing = False
        while not self._stop.wait(EVERY):
            try:
                self.push()
            except Exception as error:  # whatever it is, the next one may go well
                if not failing:
                    log.warning("%s; the work goes on and the rest is brought there later", error)
                failing = True
            else:
                failing = False


def _rank(name: str) -> tuple[int, str]:
    """Where a file comes in the order of bringing."""
    last = name.rpartition("/")[2]
    if last.endswith(LINES):
        return 0, name
    if last.startswith(_CHECKPOINT):
        return 2, name
    return (LATE if last in LAST else 1), name


def _is_ahead(here: Mapping[str, object], there: Mapping[str, object]) -> bool:
    """Whether this machine alone has finished what is in the folder, or alone has a checkpoint."""
    if any(name in here and name not in there for name in LAST):
        return True
    begun = any(name.startswith(_CHECKPOINT) for name in here)
    return begun and not any(name.startswith(_CHECKPOINT) or name in LAST for name in there)
