"""Named tensors on disk with their checksum: what is read is what was written, or an error."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from qcrd.errors import StoreError
from qcrd.storage.files import atomic

Tensors = dict[str, Tensor]

ENTRY = "qcrd"  # of the file's metadata: facts and checksum


class DamagedTensors(StoreError):
    """A file that is torn, altered, or without the checksum that files of this project have."""


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file, whole or not at all.

    Args:
        path: its name.
        tensors: any shapes and types, on any device.
        facts: small things that belong to them, as JSON knows them.

    Raises:
        StoreError: where it cannot be written.
    """
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(facts or {})
    with atomic(path) as temporary:
        try:
            # One entry: the library writes several in any order, and equal content is to be equal bytes.
            about = json.dumps({"facts": text, "sha256": _checksum(kept, text)})
            save_file(kept, temporary, metadata={ENTRY: about})
        except SafetensorError as error:
            raise _system_error(error) from error


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Tensors, on the CPU, and facts of a file that `save` wrote.

    Raises:
        FileNotFoundError: where there is none.
        DamagedTensors: where a single bit is not as it was written.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            about = json.loads(file.metadata()[ENTRY])
        text = about["facts"]
        if _checksum(tensors, text) != about["sha256"]:
            raise ValueError("its content does not match its checksum")
        return tensors, json.loads(text)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedTensors(f"{path} is damaged: {error}") from error


def _system_error(error: SafetensorError) -> OSError:
    """What the operating system said, such as that the disk is full, which the library has as text."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of everything in the file but the checksum itself."""
    found = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        found.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return found.hexdigest()
