"""Folders of teachers, each created once, whoever asks first, also across machines."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from qcrd.storage.bucket import Bucket
from qcrd.storage.folder_lock import FolderLock

FIGURES = "training.json"  # training statistics; written last, so its presence marks a complete folder


def create_once(folder: Path, bucket: Bucket | None, write: Callable[[Path], None]) -> Path:
    """Return a folder; create it if it is missing.

    The folder appears atomically, by rename. If several processes ask for it, one writes it and the rest
    wait; with a bucket this holds across machines.

    Args:
        folder: the folder.
        bucket: where it is shared; None: nowhere.
        write: writes all files into the folder that it is given, `FIGURES` among them.
    """
    done = folder / FIGURES
    if done.exists() and bucket is None:
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with FolderLock(folder, bucket, lease=folder.with_suffix(".lease")):
        if done.exists():  # written while this process waited, or on another machine
            return folder
        for leftover in folder.parent.glob(f"{folder.name}.*.tmp"):
            shutil.rmtree(leftover)
        temporary = folder.with_name(f"{folder.name}.{uuid4().hex}.tmp")
        write(temporary)
        shutil.rmtree(folder, ignore_errors=True)  # incomplete copy left by a machine that was lost
        temporary.rename(folder)
    return folder
