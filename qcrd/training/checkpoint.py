"""Checkpoints, from which an interrupted training resumes with identical results.

Each checkpoint is one safetensors file, with numbers and positions in its metadata. Snapshots of the student,
which self-play reads for some iterations, are files of their own: each is written once, and checkpoints name
those that they need. A snapshot's name has its iteration and its checksum, so that an attempt never replaces
what a checkpoint of an earlier attempt refers to.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from qcrd.storage import tensors as files
from qcrd.storage.tensors import DamagedTensors, Tensors

KEPT = 2  # the newest, and the one before in case the newest is damaged
CHECKPOINTS, SNAPSHOTS = "checkpoint-*.safetensors", "snapshot-*.safetensors"
logger = logging.getLogger(__name__)

Names = dict[int, str]
"""File names of snapshots by iteration."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """An intact checkpoint with its snapshots."""

    tensors: Tensors
    metadata: dict[str, Any]
    snapshots: dict[int, Tensors]  # weights at the start of each of the last iterations
    names: Names


def save(
    folder: Path,
    iteration: int,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, Any],
    snapshots: Mapping[int, Tensors],
    written: Mapping[int, str],
) -> Names:
    """Write the checkpoint of the start of `iteration`, then delete what none of the newest two needs.

    A kill at any point leaves a checkpoint with all its snapshots: new snapshots come before the checkpoint
    that names them, and nothing is deleted before it is in place.

    Args:
        folder: of the cell.
        iteration: number of the iteration.
        tensors: all but the snapshots.
        metadata: JSON-serialisable.
        snapshots: weights by iteration.
        written: snapshots whose files this attempt has written or read.

    Returns:
        The files of the snapshots.
    """
    names = {
        number: written.get(number) or files.save_by_content(folder, f"snapshot-{number:08d}", snapshot).name
        for number, snapshot in snapshots.items()
    }
    facts = {**metadata, "snapshots": {str(number): name for number, name in names.items()}}
    files.save(folder / f"checkpoint-{iteration:08d}.safetensors", tensors, facts)
    _tidy(folder)
    return names


def _tidy(folder: Path) -> None:
    """Delete all but the newest two checkpoints, and then the snapshots that neither of them names."""
    paths = sorted(folder.glob(CHECKPOINTS))
    for old in paths[:-KEPT]:
        old.unlink()
    needed: set[str] = set()
    for path in paths[-KEPT:]:
        try:
            needed.update(files.facts(path).get("snapshots", {}).values())
        except DamagedTensors:  # what it needs is unknown; the checkpoint after the next one replaces it
            return
    for path in folder.glob(SNAPSHOTS):
        if path.name not in needed:
            path.unlink()


def intact(folder: Path) -> Iterator[Checkpoint]:
    """Each intact checkpoint, newest first. Those that are damaged, or whose snapshots are damaged or
    missing, are logged and skipped."""
    for path in sorted(folder.glob(CHECKPOINTS), reverse=True):
        try:
            tensors, metadata = files.load(path)
            names = {int(number): name for number, name in metadata.pop("snapshots", {}).items()}
            snapshots = {number: _snapshot(folder / name) for number, name in names.items()}
        except DamagedTensors as error:
            logger.warning("%s; using the checkpoint before it", error)
        else:
            yield Checkpoint(tensors, metadata, snapshots, names)


def _snapshot(path: Path) -> Tensors:
    try:
        return files.load(path)[0]
    except FileNotFoundError as error:
        raise DamagedTensors(f"{path} is missing") from error


def clear(folder: Path) -> None:
    """Delete all checkpoints, snapshots and results of the best steps, after the training has finished."""
    for path in (*folder.glob(CHECKPOINTS), *folder.glob(SNAPSHOTS), *folder.glob("best-*")):
        path.unlink()
