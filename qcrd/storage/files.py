"""Files that are either whole or absent."""

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

_ROOM = "free some space (`qcrd samples gc`), then run it again; what was there before is whole"
REMEDIES = {  # by error number
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "raise the limit on the size of files (`ulimit -f`), then run it again",
    errno.EROFS: "its file system is read-only; export QCRD_HOME=... to a folder that can be written",
    errno.EACCES: "make it writable for this user, or export QCRD_HOME=... to a folder that is",
    errno.EPERM: "make it writable for this user, or export QCRD_HOME=... to a folder that is",
    errno.EMFILE: "allow more open files (`ulimit -n 4096`), then run it again",
}
SEAL = "sha256"  # name of the checksum in a JSON file that has its own
ELSE = "mend that, then run it again; what was there before is whole"


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """Yield a name beside `path` to write to; on success it is flushed to disk and renamed to `path`.

    Whoever reads `path` sees the old file or the whole new one, also after a power cut. On failure nothing
    is left behind.

    Raises:
        StoreError: for any OSError, such as a full disk, with what to do.
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
            os.fsync(folder)  # the name too
        finally:
            os.close(folder)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # a folder that cannot be made or searched
            temporary.unlink(missing_ok=True)


def unwritable(path: Path, error: OSError) -> StoreError:
    """What to say and do where `path` could not be written; what was there before is whole."""
    return StoreError(f"cannot write {path}: {error}; {REMEDIES.get(error.errno or 0, ELSE)}")


def write_json(path: Path, value: Any) -> None:
    """Write `value` atomically as indented JSON."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(value, indent=1, ensure_ascii=False, default=_plain) + "\n")


def read_json(path: Path) -> Any | None:
    """The value in a JSON file, or None where the file is absent or torn."""
    try:
        return json.loads(path.read_text())
    except (FileNotFoundError, ValueError, RecursionError):
        return None


def write_sealed(path: Path, value: dict[str, Any]) -> None:
    """`write_json` with a checksum of the rest beside it, so that a flipped bit is found."""
    write_json(path, {**value, SEAL: _seal(value)})


def read_sealed(path: Path) -> dict[str, Any] | None:
    """What `write_sealed` wrote, or None where the file is absent, torn or has another checksum.

    A file of earlier times, without a checksum, is taken as it is.
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
