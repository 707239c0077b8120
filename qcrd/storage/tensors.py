"""Named tensors in safetensors files with a checksum that is verified on reading."""

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

ENTRY = "qcrd"  # metadata key of facts and checksum
CONTENT = 16  # hexadecimal digits of a checksum in a file's name


class DamagedTensors(StoreError):
    """A tensor file that is truncated, altered, or lacks this project's checksum."""


def save(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any] | None = None) -> None:
    """Write a safetensors file atomically.

    Args:
        path: file to write.
        tensors: any shapes and types, on any device.
        facts: JSON-serialisable metadata.

    Raises:
        StoreError: if it cannot be written.
    """
    on_cpu = _on_cpu(tensors)
    text = json.dumps(facts or {})
    _write(path, on_cpu, text, _checksum(on_cpu, text))


def save_by_content(folder: Path, prefix: str, tensors: Mapping[str, Tensor]) -> Path:
    """Write a safetensors file whose name is `prefix`, and the beginning of its checksum; as `save`.

    Returns:
        The file.
    """
    on_cpu, text = _on_cpu(tensors), json.dumps({})
    checksum = _checksum(on_cpu, text)
    path = folder / f"{prefix}-{checksum[:CONTENT]}.safetensors"
    _write(path, on_cpu, text, checksum)
    return path


def load(path: Path) -> tuple[Tensors, dict[str, Any]]:
    """Read a file that `save` wrote.

    Returns:
        The tensors, on the CPU, and the facts.

    Raises:
        FileNotFoundError: if the file does not exist.
        DamagedTensors: if it fails its checksum or cannot be parsed.
    """
    try:
        with safe_open(path, "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
            entry = json.loads(file.metadata()[ENTRY])
        text = entry["facts"]
        if _checksum(tensors, text) != entry["sha256"]:
            raise ValueError("its content does not match its checksum")
        return tensors, json.loads(text)
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedTensors(f"{path} is damaged: {error}") from error


def facts(path: Path) -> dict[str, Any]:
    """The facts of a file that `save` wrote, without reading its tensors or verifying its checksum.

    Raises:
        DamagedTensors: if they cannot be parsed.
        FileNotFoundError: if the file does not exist.
    """
    try:
        with safe_open(path, "pt") as file:
            found: dict[str, Any] = json.loads(json.loads(file.metadata()[ENTRY])["facts"])
            return found
    except FileNotFoundError:
        raise
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DamagedTensors(f"{path} is damaged: {error}") from error


def _on_cpu(tensors: Mapping[str, Tensor]) -> Tensors:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}


def _write(path: Path, on_cpu: Tensors, text: str, checksum: str) -> None:
    with atomic(path) as temporary:
        try:
            # A single entry: the library writes several in any order, but equal content needs equal bytes.
            entry = json.dumps({"facts": text, "sha256": checksum})
            save_file(on_cpu, temporary, metadata={ENTRY: entry})
        except SafetensorError as error:
            raise _system_error(error) from error


def _system_error(error: SafetensorError) -> OSError:
    """The operating system's error, such as a full disk, which the library reports only as text."""
    number = re.search(r"os error (\d+)", str(error))
    return OSError(int(number[1]), os.strerror(int(number[1]))) if number else OSError(str(error))


def _checksum(tensors: Mapping[str, Tensor], text: str) -> str:
    """SHA-256 of the facts and of all tensors with their names, types and shapes."""
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
