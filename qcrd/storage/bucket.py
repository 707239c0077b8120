"""Object storage behind a home, through fsspec: takes and gives whole objects, knows no rename and no append.

Each machine works in a folder of its own, its home; what is there is brought to the bucket and from there to
the others (`qcrd.storage.folder_lock`). A file and its object are the same where size and time of change
are: whoever brings one over gives the file the object's time.
"""

from __future__ import annotations

import errno
import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
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

PATIENCE = 600.0  # seconds that the storage may be away before what needs it is given up
SHORT_PATIENCE = 3.0  # the same for what must not wait
SIDE_BY_SIDE = 8  # files on their way
LAST = ("record.json", "training.json")  # what says that the rest of its folder is there
LINES = ".jsonl"  # ending of files that lines are appended to; they name other files
INCOMING = ".incoming"  # where files are until they are whole, in the home: nobody tidies there
STALE = 86_400.0  # seconds after which one is of a process that was killed
LEASES = "leases"  # where they are in the bucket, outside of what is brought over
PACKAGES = {  # by protocol
    "s3": "`pip install 'qcrd[s3]'`",
    "gs": "`pip install 'qcrd[gcs]'`",
    "az": "`pip install adlfs`",
}

log = logging.getLogger(__name__)

Stamp = tuple[int, int]
"""Size in bytes, and time of change in whole seconds: finer ones are not told everywhere."""


Look = tuple[int, int, int]
"""Of a file of this machine: bytes, time of change in nanoseconds, inode."""


class Bucket:
    """What a URL such as s3://bucket/folder names; keys and endpoint come from the environment.

    Every method tries again for `PATIENCE` seconds where the storage does not answer.

    Args:
        url: as fsspec reads it.
        root: the home, a folder of this machine.

    Raises:
        StoreError: where the URL cannot be used, or the storage refuses or stays away.
    """

    def __init__(self, url: str, root: Path, patience: float = PATIENCE):
        if urlsplit(url).password:
            raise StoreError("QCRD_STORE has a password in it, and is printed; keys go into the environment")
        self.url, self.root, self.patience = url.rstrip("/"), root, patience

    def with_short_timeout(self) -> Bucket:
        """The same for who cannot wait: it is given up after `SHORT_PATIENCE` seconds."""
        return Bucket(self.url, self.root, SHORT_PATIENCE)

    def __reduce__(self) -> tuple[type[Bucket], tuple[str, Path, float]]:
        return Bucket, (self.url, self.root, self.patience)  # connections stay in their process

    @cached_property
    def _storage(self) -> tuple[Any, str]:
        import fsspec

        protocol = self.url.partition("://")[0]
        own = {"auto_mkdir": True} if self._local else {}
        try:
            fs, path = fsspec.core.url_to_fs(
                self.url, use_listings_cache=False, skip_instance_cache=True, **own
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
        """See that objects can be written, listed and created by one of many alone, which leases need.

        Raises:
            StoreError: where they cannot, with what to do.
        """
        probe = self.root / "probes" / uuid4().hex

        def attempt(number: int) -> bool:
            try:
                self.write(probe, f"{number}".encode(), exclusive=True)
            except FileExistsError:
                return False
            return True

        try:
            # At the same time: some look first and then write, which goes well only one after the other.
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
        for left in (self.root / INCOMING).glob("*"):
            with suppress(FileNotFoundError):
                if time.time() - left.stat().st_mtime > STALE:
                    left.unlink()

    def list(self, folder: Path) -> dict[str, Stamp]:
        """Objects of a folder of the home, by name below it."""
        fs, _ = self._storage
        base = self._key(folder) + "/"
        objects: dict[str, dict[str, Any]] = self._retry(lambda: fs.find(base, detail=True))
        found = {}
        for key, info in objects.items():
            name = key.removeprefix(base)
            # What is written here by that name must not lie elsewhere, whoever wrote the object.
            if ".." in PurePosixPath(name).parts or PurePosixPath(name).is_absolute():
                raise StoreError(f"{self.url}: object {key!r} has a name that leads out of its folder")
            if name and info.get("type") != "directory":
                found[name] = info["size"], _seconds(info)
        return found

    def get(self, paths: Iterable[Path]) -> None:
        """Bring these files here, each whole or not at all; one that has gone meanwhile is left out."""
        early: list[Path] = []
        late: list[Path] = []
        for path in paths:
            (late if path.name in LAST or path.suffix == LINES else early).append(path)
        with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
            for batch in (early, late):
                for done in [pool.submit(self._get, path) for path in batch]:
                    done.result()

    def pull(self, folder: Path, wanted: Callable[[str], bool] = bool) -> dict[str, Stamp]:
        """Bring here what a folder lacks or has otherwise; returns what the bucket has of it."""
        there = {name: stamp for name, stamp in self.list(folder).items() if wanted(name)}
        news = [folder / name for name, stamp in there.items() if stamp_of(folder / name) != stamp]
        self.get(news)
        return there

    def put(self, path: Path) -> Look | None:
        """Bring a file to the bucket, one of lines up to its last whole line.

        Returns:
            How the file looked that is there now, None where it has gone meanwhile. Whatever is written to it
            from the beginning of this on gives it another look.
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
            if look(path) == before and before[0] == info["size"]:  # nobody wrote meanwhile
                os.utime(path, (_seconds(info), _seconds(info)))
                after = look(path)
                return after if (after[0], after[2]) == (before[0], before[2]) else before
            return before
        except FileNotFoundError:
            if path.exists():
                raise self._absent() from None
            return None

    def read(self, path: Path) -> bytes:
        """An object's content.

        Raises:
            FileNotFoundError: where there is none.
        """
        fs, _ = self._storage
        content: bytes = self._retry(lambda: fs.cat_file(self._key(path)))
        return content

    def write(self, path: Path, content: bytes, *, exclusive: bool = False) -> None:
        """Write an object.

        Args:
            path: in the home.
            content: all of it.
            exclusive: of many that write it so, one is to succeed, and only where there was none.

        Raises:
            FileExistsError: where there is one that is to be written exclusively, unless with this content.
        """
        fs, _ = self._storage

        def act() -> None:
            if exclusive and self._local:  # fsspec would look first
                with fs.open(self._key(path), "xb") as file:
                    file.write(content)
            else:
                fs.pipe_file(self._key(path), content, **({"mode": "create"} if exclusive else {}))

        try:
            self._retry(act)
        except FileExistsError:
            with suppress(FileNotFoundError):  # whose it was has removed it
                if self.read(path) == content:  # ours: the answer to a first attempt was lost
                    return
            raise
        except FileNotFoundError:
            raise self._absent() from None

    def remove(self, paths: Iterable[Path]) -> None:
        """Remove these objects, whether they are there or not."""
        fs, _ = self._storage
        for path in paths:
            with suppress(FileNotFoundError):
                self._retry(partial(fs.rm_file, self._key(path)))

    def lease_store(self, lease: Path) -> BucketLeases:
        """Where the lease of a folder is in the bucket, for `Lease`."""
        return BucketLeases(self, self.root / LEASES / lease.relative_to(self.root))

    def _get(self, path: Path) -> None:
        fs, _ = self._storage
        key, temporary = self._key(path), self.root / INCOMING / uuid4().hex
        try:
            temporary.parent.mkdir(parents=True, exist_ok=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                info = self._retry(lambda: fs.info(key))
                self._retry(lambda: fs.get_file(key, str(temporary)))
            except FileNotFoundError:  # gone meanwhile
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
        """What an action returns, tried again while the storage does not answer.

        Raises:
            FileNotFoundError, FileExistsError: as the action does.
            StoreError: where the storage refuses or stays away.
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


class BucketLeases:
    """Numbered objects of a bucket; a `qcrd.storage.lease.LeaseStore`."""

    beats = 4  # each is a request, which costs

    def __init__(self, bucket: Bucket, folder: Path):
        self._bucket, self._folder = bucket, folder
        self._text, self._beat = "", 0

    def shorten_timeout(self) -> None:
        """Wait for nothing any more."""
        self._bucket = self._bucket.with_short_timeout()

    def __str__(self) -> str:
        return f"{self._bucket.url}/{self._folder.relative_to(self._bucket.root / LEASES).parent}"

    def names(self) -> list[str]:
        """Of all files."""
        with _os_errors():
            return list(self._bucket.list(self._folder))

    def create(self, name: str, text: str) -> None:
        """Write a file that is not there yet."""
        # The second line is its own: an attempt whose answer was lost knows itself by it.
        self._text = f"{text}\n{uuid4().hex}\n"
        with _os_errors():
            self._bucket.write(self._folder / name, self._text.encode(), exclusive=True)

    def look(self, name: str) -> tuple[str, str]:
        """Text, and what changes with a heartbeat."""
        with _os_errors():
            text = self._bucket.read(self._folder / name).decode()
        return text.partition("\n")[0], text

    def beat(self, name: str) -> None:
        """Give a sign of life."""
        self._beat += 1
        with _os_errors():
            self._bucket.write(self._folder / name, f"{self._text}{self._beat}".encode())

    def rename(self, name: str, new: str) -> None:
        """Give a file another name."""
        with _os_errors():
            self._bucket.write(self._folder / new, self._text.encode())
        self.remove(name)

    def remove(self, name: str) -> None:
        """Remove a file, if it is there."""
        with _os_errors():
            self._bucket.remove([self._folder / name])


def look(path: Path) -> Look:
    """At a file of this machine; FileNotFoundError where there is none."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ino


def stamp_of(path: Path) -> Stamp | None:
    """Of a file of this machine; None where there is none."""
    with suppress(FileNotFoundError):
        found = path.stat()
        return found.st_size, int(found.st_mtime)
    return None


def _seconds(info: dict[str, Any]) -> int:
    """When an object was last written, in seconds since the epoch; each storage has its own name for it."""
    found = next(info[name] for name in _TIMES if info.get(name) is not None)
    if isinstance(found, str):
        found = datetime.fromisoformat(found)
    return int(found.timestamp() if isinstance(found, datetime) else found)


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
    """Whether the same may go well a little later."""
    if not isinstance(error, Exception) or isinstance(error, (*_FINAL, NotImplementedError)):
        return False
    return getattr(error, "errno", None) not in _FULL and "Credentials" not in type(error).__name__


@contextmanager
def _os_errors() -> Iterator[None]:
    """What a `LeaseStore` may raise."""
    try:
        yield
    except StoreError as error:
        raise OSError(str(error)) from error
