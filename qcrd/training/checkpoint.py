"""Checkpoints, from which an interrupted training resumes with identical results.

Each checkpoint is one safetensors file, with numbers and positions in its metadata.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from qcrd.storage import tensors as files
from qcrd.storage.tensors import DamagedTensors

KEPT = 2  # the newest, and the one before in case the newest is damaged
logger = logging.getLogger(__name__)


def save(folder: Path, iteration: int, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
    """Write the checkpoint of the start of `iteration`, then delete all but the newest two."""
    files.save(folder / f"checkpoint-{iteration:08d}.safetensors", tensors, metadata)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEPT]:
        old.unlink()


def intact(folder: Path) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Tensors and metadata of each intact checkpoint, newest first. Damaged ones are logged and skipped."""
    for path in sorted(folder.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            yield files.load(path)
        except DamagedTensors as error:
            logger.warning("%s; using the checkpoint before it", error)


def clear(folder: Path) -> None:
    """Delete all checkpoints and the results of the best steps, after the training has finished."""
    for path in (*folder.glob("checkpoint-*.safetensors"), *folder.glob("best-*")):
        path.unlink()
