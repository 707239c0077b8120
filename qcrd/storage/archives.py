"""Files that others have put into a folder or a zip: read in place, and nothing from outside of it.

A zip's members are read in memory and never extracted, so that a name in it can overwrite nothing.
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

LARGEST = 1 << 30  # bytes of one member; the largest of Distilling Step-by-Step's has a tenth of that
Reader = Callable[[], bytes]
_TORN = (OSError, EOFError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error, struct.error)
"""What zipfile raises where bytes are missing or altered."""


def files(path: Path, wanted: Callable[[str], bool]) -> dict[str, Reader]:
    """What a folder or zip has of the wanted files: name, with / between its parts, to what reads it.

    Args:
        path: the folder, whose files' names are absolute, or the zip.
        wanted: by name.

    Raises:
        DataError: where the zip is torn, or a wanted file leads out of it or is too large; readers raise it
            where their member is torn.
    """
    if path.is_dir():
        found = {file.absolute().as_posix(): file for file in sorted(path.rglob("*"))}
        return {name: _inside(path, file).read_bytes for name, file in found.items() if wanted(name)}
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
    """The file, once it is sure that no link in it leads elsewhere.

    A snapshot in the Hub's cache is made of links into the `blobs` beside it.
    """
    home = folder.resolve()
    snapshots = [each.parent for each in (home, *home.parents) if each.name == "snapshots"]
    places = [home, *(repository / "blobs" for repository in snapshots)]
    if not any(file.resolve().is_relative_to(place) for place in places):
        raise DataError(f"{file} is a link to {file.resolve()}, out of {folder}; put a copy in its place")
    return file


def _fault(member: zipfile.ZipInfo) -> str:
    """What is wrong with a member before it is read, "" where nothing is."""
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
    """A member's content; zipfile gives no more than the size it names, and checks its sum."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.read(member)
    except _TORN as error:
        raise DataError(f"{path}: its member {member.filename!r} is torn ({error}); get it anew") from error
