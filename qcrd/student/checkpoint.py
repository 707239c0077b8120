"""Checkpoints: what a training needs to go on exactly where it was.

One safetensors file each, written atomically, with the small facts in its metadata; the newest that
can be read serves.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from qcrd.files import atomic

KEPT = 2  # the newest, and one in case it turns out to be damaged
logger = logging.getLogger(__name__)


def save(folder: Path, iteration: int, tensors: dict[str, Tensor], facts: dict[str, Any]) -> None:
    """Write the checkpoint taken at the start of `iteration`, then remove all but the newest two."""
    path = folder / f"checkpoint-{iteration:08d}.safetensors"
    with atomic(path) as temporary:
        save_file(
            {name: t.detach().cpu().contiguous() for name, t in tensors.items()},
            temporary,
            metadata={"facts": json.dumps(facts)},
        )
    for old in sorted(folder.glob("checkpoint-*.safetensors"))[:-KEPT]:
        old.unlink()


def newest(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """Tensors and facts of the newest readable checkpoint, or None."""
    for path in sorted(folder.glob("checkpoint-*.safetensors"), reverse=True):
        try:
            with safe_open(path, "pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
                return tensors, json.loads(file.metadata()["facts"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            logger.warning("%s cannot be read (%s); the one before it serves", path, error)
    return None


def clear(folder: Path) -> None:
    """Remove all checkpoints and what was best at them: the training is finished."""
    for path in (*folder.glob("checkpoint-*.safetensors"), *folder.glob("best-*")):
        path.unlink()
