"""Leases of folders as objects of a bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from qcrd.errors import StoreError
from qcrd.storage.bucket import Bucket

LEASES = "leases"  # prefix of leases in the bucket, which are not transferred


class BucketLeases:
    """Numbered objects of a bucket; a `qcrd.storage.lease.LeaseStore`.

    Args:
        bucket: the bucket.
        lease: path of the lease in the bucket's home; its objects are below `LEASES` in the bucket.
    """

    beats = 4  # each is a request, which costs

    def __init__(self, bucket: Bucket, lease: Path):
        self._bucket, self._folder = bucket, bucket.root / LEASES / lease.relative_to(bucket.root)
        self._text, self._beat = "", 0

    def shorten_timeout(self) -> None:
        """Give up after `qcrd.storage.bucket.SHORT_PATIENCE` seconds from now on."""
        self._bucket = self._bucket.with_short_timeout()

    def __str__(self) -> str:
        return f"{self._bucket.url}/{self._folder.relative_to(self._bucket.root / LEASES).parent}"

    def names(self) -> list[str]:
        """Names of all files."""
        with _os_errors():
            return list(self._bucket.list(self._folder))

    def create(self, name: str, text: str) -> None:
        """Create a file exclusively."""
        # The unique second line lets a retry recognise the file that an earlier attempt created.
        self._text = f"{text}\n{uuid4().hex}\n"
        with _os_errors():
            self._bucket.write(self._folder / name, self._text.encode(), exclusive=True)

    def look(self, name: str) -> tuple[str, str]:
        """The file's text, and a value that changes with every heartbeat."""
        with _os_errors():
            text = self._bucket.read(self._folder / name).decode()
        return text.partition("\n")[0], text

    def beat(self, name: str) -> None:
        """Send a heartbeat."""
        self._beat += 1
        with _os_errors():
            self._bucket.write(self._folder / name, f"{self._text}{self._beat}".encode())

    def rename(self, name: str, new: str) -> None:
        """Rename a file."""
        with _os_errors():
            self._bucket.write(self._folder / new, self._text.encode())
        self.remove(name)

    def remove(self, name: str) -> None:
        """Delete a file if it exists."""
        with _os_errors():
            self._bucket.remove([self._folder / name])


@contextmanager
def _os_errors() -> Iterator[None]:
    """Convert StoreError to OSError, which a `LeaseStore` raises."""
    try:
        yield
    except StoreError as error:
        raise OSError(str(error)) from error
