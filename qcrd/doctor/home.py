"""Checks of QCRD_HOME: writing, renaming, locking, file system, bucket and disk space."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil

from qcrd.doctor.check import Check, error, ok, warning
from qcrd.errors import StoreError
from qcrd.grid.cluster.capacity import GIB
from qcrd.storage.bucket import Bucket
from qcrd.storage.home import Home
from qcrd.storage.lease import Lease

LEAST_DISK = 1 * GIB  # bytes; checkpoints of one T5-base take 3
GOOD_DISK = 20 * GIB
MEMORY_ONLY = ("tmpfs", "ramfs")
_ELSEWHERE = "export QCRD_HOME=... to a folder on another file system"


def folder(home: Home) -> Iterator[Check]:
    """Check that the home supports writing, atomic renames and locks, and name its file system."""
    root = home.root
    where = _existing(root)
    if not where.is_dir():
        yield error("home", f"{where} is a file", "move it away, or export QCRD_HOME=... to a folder")
        return
    kind, mount = file_system(where)
    found = f"{root} on {kind} ({mount})" + ("" if where == root else ", not made yet")
    try:
        with tempfile.TemporaryDirectory(prefix=".doctor-", dir=where) as scratch:
            broken, locked = folder_problem(Path(scratch)), locks(Path(scratch))
    except OSError as trouble:
        yield error(
            "home",
            f"{found}: cannot be written ({trouble.strerror})",
            f"make it writable for you: chown or chmod {where}; or {_ELSEWHERE}",
        )
        return
    if broken:
        yield error("home", f"{found}: {broken}", _ELSEWHERE)
    elif not locked:
        yield warning(
            "home",
            f"{found}: files cannot be locked, which MLflow's database and `cluster/local.sh` need",
            f"mount it with locks (NFS 4, or lockd), or {_ELSEWHERE}",
        )
    elif kind in MEMORY_ONLY:
        yield warning("home", f"{found}: is gone after a restart", _ELSEWHERE)
    else:
        yield ok("home", f"{found}; can be written and locked")


def folder_problem(scratch: Path) -> str:
    """The first of the required operations that fails in this folder, or "".

    Tests atomic renames, exclusive creation of files, and leases.

    Raises:
        OSError: if the folder cannot be written.
    """
    old, new = scratch / "old", scratch / "new"
    for path in (old, new):
        path.write_text("")
    os.replace(new, old)
    try:
        with open(old, "x"):
            return "a file can be created twice, so that two processes can hold one lease"
    except FileExistsError:
        pass
    lease = Lease(scratch / "lease")
    try:
        if not lease.acquire(0):
            return "a free lease cannot be acquired"
        lease.check()
    except StoreError as trouble:
        return str(trouble)
    finally:
        lease.release()
    return ""


def locks(scratch: Path) -> bool:
    """Whether the folder supports file locks; SQLite and `cluster/local.sh` need them, runs do not."""
    with open(scratch / "lock", "w") as first, open(scratch / "lock", "w") as second:
        try:
            fcntl.flock(first, fcntl.LOCK_EX | fcntl.LOCK_NB)
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # raised by the second lock, as expected
            return True
        except OSError:
            return False
    return False


def store(home: Home) -> Iterator[Check]:
    """Check the bucket behind the home, if one is configured."""
    if home.bucket is None:
        return
    try:
        Bucket(home.bucket.url, home.root, patience=5).check()
    except StoreError as trouble:
        yield error(
            "store", str(trouble), "set QCRD_STORE and its keys as docs/clusters.md says, or unset it"
        )
    else:
        yield ok("store", f"{home.store}; objects can be written, read and created exclusively")


def disk(home: Home) -> Iterator[Check]:
    """Check free space for results, and for Ray's session in the temporary folder."""
    yield disk_space("disk", home.root, shutil.disk_usage(_existing(home.root)).free)
    temporary = Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())
    usage = shutil.disk_usage(temporary)
    full = 1 - usage.free / usage.total
    if full > 0.95:  # Ray's own threshold
        yield warning(
            "disk of Ray",
            f"{temporary} is {100 * full:.0f}% full; above 95% Ray refuses to spill",
            "free space there, or set RAY_TMPDIR=... to a folder on another disk",
        )


def disk_space(name: str, folder: Path, free: int) -> Check:
    """Check `free` bytes against the limits."""
    found = f"{free / GIB:.1f} GiB free for {folder}"
    remedy = "`qcrd samples gc`, resources.keep_students: false, or QCRD_HOME on another disk"
    if free < LEAST_DISK:
        return error(name, found, remedy)
    return warning(name, found, remedy) if free < GOOD_DISK else ok(name, found)


def file_system(path: Path) -> tuple[str, str]:
    """Type and mount point of the file system that contains a folder."""
    mounts = [
        (Path(part.mountpoint), part.fstype)
        for part in psutil.disk_partitions(all=True)
        if path.resolve().is_relative_to(part.mountpoint)
    ]
    mount, kind = max(mounts, key=lambda each: len(each[0].parts), default=(Path("/"), "unknown"))
    return kind, str(mount)


def _existing(path: Path) -> Path:
    """The folder, or its nearest existing parent; checks create nothing."""
    return next(each for each in (path, *path.parents) if each.exists())
