"""Atomic writes, and JSON files with a checksum."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

from qcrd.errors import StoreError

_FREE_SPACE = "free some space (`qcrd samples gc`), then run it again; what was there before is whole"
REMEDIES = {  # by error number
    errno.ENOSPC: _FREE_SPACE,
    errno.EDQUOT: _FREE_SPACE,
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), then run it again",
    errno.EROFS: "its file system is read-only; export QCRD_HOME=... to a folder that can be written",
    errno.EACCES: "make it writable for this user, or export QCRD_HOME=... to a folder that is",
    errno.EPERM: "make it writable for this user, or export QCRD_HOME=... to a folder that is",
    errno.EMFILE: "allow more open files (`ulimit -n 4096`), then run it again",
}
SEAL = "sha256"  # key of the checksum in a JSON file
ELSE = "mend that, then run it again; what was there before is whole"  # remedy for other errors


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; on success flush it to disk and rename it to `path`.

    Readers of `path` see either the old file or the complete new one, even after a power failure. On failure
    the temporary file is deleted.

    Raises:
        StoreError: for any OSError, such as a full disk; the message says what to do.
    """
    temporary = path.with_name(f".{path.name}.{uuid4().hex[:8]}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)  # makes the rename durable
        finally:
            os.close(folder)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # if the folder cannot be created or searched
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> StoreError:
    """The error to raise if `path` could not be written; the previous file is intact."""
    return StoreError(f"cannot write {path}: {error}; {REMEDIES.get(error.errno or 0, ELSE)}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n")


def read_json(path: Path) -> Any | None:
    """Read a JSON file; None if it is missing or not valid JSON."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """`write_json` with a checksum of the content, which detects corruption."""
    write_json(path, {**value, SEAL: _seal(value)})


def read_sealed(path: Path) -> dict[str, Any] | None:
    """Read a file of `write_sealed`; None if it is missing, not valid JSON or fails its checksum.

    Files of earlier versions have no checksum and are read without verification.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        return None
    seal = value.pop(SEAL, None)
    return value if seal in (None, _seal(value)) else None


def _seal(value: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=_plain).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} does not belong into a JSON file")
