"""Object storage behind a home, accessed through fsspec. Objects are read and written whole.

Each machine works in a local folder, its home. Files are uploaded to the bucket and downloaded from there by
other machines (`qcrd.storage.folder_lock`). A file and its object are considered equal if they have the same
size and modification time; every upload and download sets the file's time to the object's.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import datetime
from functools import cached_property, partial
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

from tenacity import Retrying, before_sleep_log, retry_if_exception, stop_after_delay, wait_random_exponential

from qcrd.errors import StoreError
from qcrd.storage.files import unwritable

T = TypeVar("T")

PATIENCE = 600.0  # seconds for which an operation is retried while the storage is unreachable
SHORT_PATIENCE = 3.0  # the same for operations that must not wait
SIDE_BY_SIDE = 8  # parallel transfers
LAST = ("record.json", "training.json")  # transferred last: they mark the folder as complete
LINES = ".jsonl"  # suffix of append-only files; transferred late because they name other files
INCOMING = ".incoming"  # folder of the home for partial downloads
STALE = 86_400.0  # seconds after which a partial download is deleted: its process was killed
PACKAGES = {  # packages to install, by protocol
    "s3": "`pip install 'qcrd[s3]'`",
    "gs": "`pip install 'qcrd[gcs]'`",
    "az": "`pip install adlfs`",
}

log = logging.getLogger(__name__)

Stamp = tuple[int, int]
"""Size in bytes and modification time in whole seconds, the finest resolution of some storage."""


Look = tuple[int, int, int]
"""State of a local file: size in bytes, modification time in nanoseconds, inode."""


class Bucket:
    """Object storage at a URL such as s3://bucket/folder; keys and endpoint come from the environment.

    Every method retries for `patience` seconds while the storage does not respond.

    Args:
        url: fsspec URL.
        root: the home, a local folder.
        patience: seconds.

    Raises:
        StoreError: if the URL cannot be used, or the storage refuses the request or stays unreachable.
    """

    def __init__(self, url: str, root: Path, patience: float = PATIENCE):
        if urlsplit(url).password:
            raise StoreError("QCRD_STORE has a password in it, and is printed; keys go into the environment")
        self.url, self.root, self.patience = url.rstrip("/"), root, patience

    def with_short_timeout(self) -> Bucket:
        """A copy that gives up after `SHORT_PATIENCE` seconds."""
        return Bucket(self.url, self.root, SHORT_PATIENCE)

    def __reduce__(self) -> tuple[type[Bucket], tuple[str, Path, float]]:
        return Bucket, (self.url, self.root, self.patience)  # connections cannot be pickled

    @cached_property
    def _storage(self) -> tuple[Any, str]:
        import fsspec

        protocol = self.url.partition("://")[0]
        options = {"auto_mkdir": True} if self._local else {}
        try:
            fs, path = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True, **options
            )
            return fs, path
        except ImportError as error:
            package = PACKAGES.get(protocol, f"fsspec's package for {protocol}")
            raise StoreError(f"{self.url} needs {package}, on all machines ({error})") from error
        except ValueError as error:
            raise StoreError(f"QCRD_STORE={self.url}: {error}; allowed: s3://BUCKET/FOLDER, gs://..., "
                             "az://..., or what else fsspec knows") from error  # fmt: skip

    @property
    def _local(self) -> bool:
        return self.url.startswith(("file:", "local:"))

    def check(self) -> None:
        """Check that objects can be written, listed and created exclusively, as leases require.

        Raises:
            StoreError: if not; the message says what to do.
        """
        probe = self.root / "probes" / uuid4().hex

        def attempt(number: int) -> bool:
            try:
                self.write(probe, f"{number}".encode(), exclusive=True)
            except FileExistsError:
                return False
            return True

        try:
            # In parallel: some storage checks and then writes, which is exclusive only in sequence.
            with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
                created = sum(pool.map(attempt, range(SIDE_BY_SIDE)))
            if created != 1 or attempt(-1) or probe.name not in self.list(probe.parent):
                raise StoreError(
                    f"{self.url}: {created} of {SIDE_BY_SIDE} processes could hold one lease; use storage "
                    "with conditional writes (If-None-Match), such as S3, GCS or Azure"
                )
        finally:
            with suppress(StoreError):
                self.remove([probe])
        for partial_file in (self.root / INCOMING).glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - partial_file.stat().st_mtime > STALE:
                    partial_file.unlink()

    def list(self, folder: Path) -> dict[str, Stamp]:
        """Objects below a folder of the home, by their name relative to it."""
        fs, _ = self._storage
        base = self._key(folder) + "/"
        objects: dict[str, dict[str, Any]] = self._retry(lambda: fs.find(base, detail=True))
        stamps = {}
        for key, info in objects.items():
            name = key.removeprefix(base)
            # The name becomes a local path: it must not lead out of the folder.
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise StoreError(f"{self.url}: object {key!r} has a name that leads out of its folder")
            if name and info.get("type") != "directory":
                stamps[name] = info["size"], _seconds(info)
        return stamps

    def get(self, paths: Iterable[Path]) -> None:
        """Download these files, each atomically; those that no longer exist are skipped."""
        early: list[Path] = []
        late: list[Path] = []
        for path in paths:
            (late if path.name in LAST or path.suffix == LINES else early).append(path)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for batch in (early, late):
                for future in [pool.submit(self._get, path) for path in batch]:
                    future.result()

    def pull(self, folder: Path, wanted: Callable[[str], bool] = bool) -> dict[str, Stamp]:
        """Download the missing and changed files of a folder.

        Returns:
            All wanted objects of the folder, with their stamps.
        """
        objects = {name: stamp for name, stamp in self.list(folder).items() if wanted(name)}
        changed = [folder / name for name, stamp in objects.items() if stamp_of(folder / name) != stamp]
        self.get(changed)
        return objects

    def put(self, path: Path) -> Look | None:
        """Upload a file; a JSON-lines file up to its last complete line.

        Returns:
            State of the uploaded file; None if it no longer exists. Any write to the file after this call
            began changes its state.
        """
        fs, _ = self._storage
        key = self._key(path)
        try:
            before = look(path)
            if path.suffix == LINES:
                content = path.read_bytes()
                self.write(path, content[: content.rfind(b"\n") + 1])
            else:
                self._retry(lambda: fs.put_file(str(path), key))
            info = self._retry(lambda: fs.info(key))
            if look(path) == before and before[0] == info["size"]:  # not written to meanwhile
                os.utime(path, (_seconds(info), _seconds(info)))
                after = look(path)
                return after if (after[0], after[2]) == (before[0], before[2]) else before
            return before
        except FileNotFoundError:
            if path.exists():
                raise self._absent() from None
            return None

    def read(self, path: Path) -> bytes:
        """Read an object.

        Raises:
            FileNotFoundError: if it does not exist.
        """
        fs, _ = self._storage
        content: bytes = self._retry(lambda: fs.cat_file(self._key(path)))
        return content

    def write(self, path: Path, content: bytes, *, exclusive: bool = False) -> None:
        """Write an object.

        Args:
            path: path of the object in the home.
            content: the whole object.
            exclusive: create the object; of concurrent calls, exactly one succeeds.

        Raises:
            FileExistsError: if `exclusive` and the object exists with different content.
        """
        fs, _ = self._storage

        def act() -> None:
            if exclusive and self._local:  # fsspec would check and then write, which is not atomic
                with fs.open(self._key(path), "xb") as file:
                    file.write(content)
            else:
                fs.pipe_file(self._key(path), content, **({"mode": "create"} if exclusive else {}))

        try:
            self._retry(act)
        except FileExistsError:
            with suppress(FileNotFoundError):  # removed by its owner
                if self.read(path) == content:  # ours: the response to an earlier attempt was lost
                    return
            raise
        except FileNotFoundError:
            raise self._absent() from None

    def remove(self, paths: Iterable[Path]) -> None:
        """Delete these objects; missing ones are ignored."""
        fs, _ = self._storage
        for path in paths:
            with suppress(FileNotFoundError):
                self._retry(partial(fs.rm_file, self._key(path)))

    def _get(self, path: Path) -> None:
        fs, _ = self._storage
        key, temporary = self._key(path), self.root / INCOMING / uuid4().hex
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                info = self._retry(lambda: fs.info(key))
                self._retry(lambda: fs.get_file(key, str(temporary)))
            except FileNotFoundError:  # deleted meanwhile
                return
            os.utime(temporary, (_seconds(info), _seconds(info)))
            os.replace(temporary, path)
        except OSError as error:
            raise unwritable(path, error) from error
        finally:
            temporary.unlink(missing_ok=True)

    def _key(self, path: Path) -> str:
        return f"{self._storage[1]}/{path.relative_to(self.root).as_posix()}"

    def _absent(self) -> StoreError:
        return StoreError(f"{self.url}: there is no such bucket; create it, or set QCRD_STORE to another")

    def _retry(self, action: Callable[[], T]) -> T:
        """Run an action, retrying it on transient errors.

        Raises:
            FileNotFoundError, FileExistsError: from the action.
            StoreError: if the storage refuses the request or stays unreachable.
        """
        tries = Retrying(
            stop=stop_after_delay(self.patience),
            wait=wait_random_exponential(max=10),
            retry=retry_if_exception(_is_transient),
            before_sleep=before_sleep_log(log, logging.WARNING),
            reraise=True,
        )
        try:
            return tries(action)
        except (FileNotFoundError, FileExistsError):
            raise
        except Exception as error:
            remedy = "look at its address, its keys and what they allow"
            raise StoreError(f"{self.url} does not take or give: {error}; {remedy}") from error


def look(path: Path) -> Look:
    """State of a local file.

    Raises:
        FileNotFoundError: if it does not exist.
    """
    status = path.stat()
    return status.st_size, status.st_mtime_ns, status.st_ino


def stamp_of(path: Path) -> Stamp | None:
    """Stamp of a local file; None if it does not exist."""
    with suppress(FileNotFoundError):
        status = path.stat()
        return status.st_size, int(status.st_mtime)
    return None


def _seconds(info: dict[str, Any]) -> int:
    """Modification time of an object in seconds since the epoch; its key differs between storage systems."""
    modified = next(info[name] for name in _TIMES if info.get(name) is not None)
    if isinstance(modified, str):
        modified = datetime.fromisoformat(modified)
    return int(modified.timestamp() if isinstance(modified, datetime) else modified)


_TIMES = ("LastModified", "last_modified", "updated", "mtime", "created")
_FINAL = (
    FileNotFoundError,
    FileExistsError,
    PermissionError,
    ImportError,
    LookupError,
    TypeError,
    ValueError,
)
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG)


def _is_transient(error: BaseException) -> bool:
    """Whether a retry may succeed."""
    if not isinstance(error, Exception) or isinstance(error, (*_FINAL, NotImplementedError)):
        return False
    return getattr(error, "errno", None) not in _FULL and "Credentials" not in type(error).__name__
