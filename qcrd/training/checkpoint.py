"""Checkpoints: what a training needs to go on exactly where it was.

One file each, with the small facts in its metadata; the newest that is whole serves.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from torch import Tensor

from qcrd.storage import tensors as files
from qcrd.storage.tensors import DamagedTensors

KEPT = 2  # the newest, and one in case it turns out to be damaged
logger = logging.getLogger(__name__)


def save(folder: Path, iteration: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write the checkpoint taken at the start of `iteration`, then remove all but the newest two."""
    files.save(folder / f"checkpoint-{iteration:08d}.safetensors", tensors, facts)
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEPT]:
        old.unlink()


def whole(folder: Path) -> Iterator[tuple[dict[str, Tensor], dict[str, Any]]]:
    """Tensors and facts of each checkpoint that is whole, the newest first; the others are said."""
    for path in sorted(folder.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            yield files.load(path)
        except DamagedTensors as error:
            logger.warning("%s; the checkpoint before it serves", error)


def clear(folder: Path) -> None:
    """Remove all checkpoints and what was best at them: the training is finished."""
    for path in (*folder.glob("checkpoint-*.safetensors"), *folder.glob("best-*")):
        path.unlink()
