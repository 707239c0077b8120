"""How many GPUs this process sees, without importing torch where that is not needed."""

from __future__ import annotations

import ctypes
import itertools
import os
import re
from importlib.util import find_spec
from pathlib import Path

_NVML = "libnvidia-ml.so.1"  # NVIDIA's management library, which comes with the driver
_DRIVER = "libcuda.so.1"


def gpu_count() -> int:
    """The same number as `torch.cuda.device_count()`.

    torch asks NVML too, which unlike the CUDA runtime does not initialise the devices. What is not a plain
    CUDA build with all devices, or some of them by number, is left to torch.
    """
    build = _build()
    if build == "cpu":
        return 0
    count = _nvml_count() if build == "cuda" else None
    if count is None and build == "cuda" and not _loads(_DRIVER):
        return 0  # no driver: the CUDA runtime finds none either
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count is not None and visible is None:
        return count
    if count is not None and (chosen := _numbers(visible or "")) is not None:
        return _visible(chosen, count)
    import torch

    return torch.cuda.device_count()


def _build() -> str:
    """What the installed torch computes on: cpu, cuda or other, read from its version file."""
    spec = find_spec("torch")
    try:
        text = (Path(spec.origin).parent / "version.py").read_text() if spec and spec.origin else ""
    except OSError:
        return "other"
    names = dict(re.findall(r"^(cuda|hip|xpu)\b[^=\n]*= *(.+)$", text, re.MULTILINE))
    if not {"cuda", "hip"} <= names.keys():
        return "other"
    if names["hip"] != "None":
        return "other"
    return "cpu" if names["cuda"] == "None" else "cuda"


def _loads(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _nvml_count() -> int | None:
    """Devices of the machine; None where NVML is not there or refuses."""
    library = _loads(_NVML)
    if library is None or library.nvmlInit_v2() != 0:
        return None
    count = ctypes.c_int(-1)
    try:
        return count.value if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else None
    finally:
        library.nvmlShutdown()


def _numbers(visible: str) -> list[int] | None:
    """Device numbers of CUDA_VISIBLE_DEVICES; None where it has something else, such as UUIDs."""
    parts = [part.strip() for part in visible.split(",")] if visible.strip() else []
    return [int(part) for part in parts] if all(re.fullmatch(r"-?\d+", part) for part in parts) else None


def _visible(chosen: list[int], count: int) -> int:
    """How many of the devices are visible: those before the first number that is no device.

    A number that comes twice hides all, as in the CUDA runtime.
    """
    before = list(itertools.takewhile(lambda number: number >= 0, chosen))
    if len(set(before)) < len(before):
        return 0
    return next((i for i, number in enumerate(before) if number >= count), len(before))
