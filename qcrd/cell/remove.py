"""Deletes a cell's results and checkpoints; samples and discriminators stay."""

from __future__ import annotations

import shutil

from qcrd.errors import ConfigError
from qcrd.storage.home import RECORD, Home


def remove_cell(home: Home, cell_id: str) -> None:
    """Delete all files of a cell, also in the bucket, so that it is trained again from the start.

    The record goes first: whatever an interrupt leaves does not look like a result.

    Raises:
        ConfigError: if a process is training the cell.
    """
    folder = home.cell(cell_id)
    if not folder.exists() and home.bucket is None:
        return
    lock = home.lock_cell(cell_id)
    if not lock.acquire(timeout=0):
        raise ConfigError(
            f"cell {cell_id} cannot be deleted: {lock.holder() or 'another process'} is training it; stop "
            "that process first"
        )
    try:
        (folder / RECORD).unlink(missing_ok=True)
        for path in folder.iterdir():
            if path.name != "lease":  # which is held here
                shutil.rmtree(path) if path.is_dir() else path.unlink()
    finally:
        lock.release()
