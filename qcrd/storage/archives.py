"""Read files from a folder or a zip archive without following paths that lead out of it.

Members of a zip are read in memory and never extracted, so that no member can overwrite a file.
"""

from __future__ import annotations

import stat
import struct
import zipfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath

from qcrd.errors import DataError

LARGEST = 1 << 30  # bytes of one member; ten times the largest file of Distilling Step-by-Step
Reader = Callable[[], bytes]
_TORN = (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error)
"""Exceptions that zipfile raises for a truncated or corrupted archive."""


def files(path: Path, wanted: Callable[[str], bool]) -> dict[str, Reader]:
    """List the wanted files of a folder or zip archive.

    Args:
        path: a folder or a zip archive.
        wanted: predicate on a file's name.

    Returns:
        A function that reads each file, by the file's name. Names use "/" as separator; those of files in a
        folder are absolute.

    Raises:
        DataError: if the archive is corrupted, or a wanted file is outside of `path` or too large. A
            reader raises it if its member is corrupted.
    """
    if path.is_dir():
        by_name = {file.absolute().as_posix(): file for file in sorted(path.rglob("*"))}
        return {name: _inside(path, file).read_bytes for name, file in by_name.items() if wanted(name)}
    try:
        with zipfile.ZipFile(path) as archive:
            members = [member for member in archive.infolist() if wanted(member.filename)]
    except _TORN as error:
        raise DataError(f"{path} is no whole zip ({error}); get it anew") from error
    for member in members:
        if why := _fault(member):
            raise DataError(f"{path}: its member {member.filename!r} {why}; pack it anew without")
    return {member.filename: partial(_read, path, member) for member in members}


def _inside(folder: Path, file: Path) -> Path:
    """Return the file after checking that it does not link out of the folder.

    A snapshot in the Hub's cache consists of links into the `blobs` folder beside it, which are allowed.
    """
    resolved = folder.resolve()
    repositories = [parent.parent for parent in (resolved, *resolved.parents) if parent.name == "snapshots"]
    allowed = [resolved, *(repository / "blobs" for repository in repositories)]
    if not any(file.resolve().is_relative_to(parent) for parent in allowed):
        raise DataError(f"{file} is a link to {file.resolve()}, out of {folder}; put a copy in its place")
    return file


def _fault(member: zipfile.ZipInfo) -> str:
    """Why a member must not be read; "" if it may be."""
    name = PurePosixPath(member.filename.replace("\\", "/"))
    if name.is_absolute() or ".." in name.parts or ":" in name.parts[0]:
        return "has a name that leads out of the archive"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "is a link"
    if member.flag_bits & 1:
        return "is encrypted"
    if member.file_size > LARGEST:
        return f"has {member.file_size} bytes, more than the {LARGEST} that are read"
    return ""


def _read(path: Path, member: zipfile.ZipInfo) -> bytes:
    """Read a member; zipfile returns at most its declared size and verifies its CRC."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except _TORN as error:
        raise DataError(f"{path}: its member {member.filename!r} is torn ({error}); get it anew") from error
