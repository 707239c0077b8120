"""Counts the GPUs that this process sees, without importing torch if possible."""

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

    Queries NVML as torch does, because unlike the CUDA runtime it does not initialise the devices. Imports
    torch for builds other than CUDA, and if CUDA_VISIBLE_DEVICES does not list device numbers.
    """
    build = _torch_build()
    if build == "cpu":
        return 0
    count = _nvml_count() if build == "cuda" else None
    if count is None and build == "cuda" and not _library(_DRIVER):
        return 0  # without a driver the CUDA runtime finds none either
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if count is not None and visible is None:
        return count
    if count is not None and (devices := _device_numbers(visible or "")) is not None:
        return _visible(devices, count)
    import torch

    return int(torch.cuda.device_count())


def _torch_build() -> str:
    """Build of the installed torch (cpu, cuda or other), read from its version file."""
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


def _library(library: str) -> ctypes.CDLL | None:
    try:
        return ctypes.CDLL(library)
    except OSError:
        return None


def _nvml_count() -> int | None:
    """Number of devices of the machine; None if NVML is missing or fails."""
    library = _library(_NVML)
    if library is None or library.nvmlInit_v2() != 0:
        return None
    count = ctypes.c_int(-1)
    try:
        return count.value if library.nvmlDeviceGetCount_v2(ctypes.byref(count)) == 0 else None
    finally:
        library.nvmlShutdown()


def _device_numbers(visible: str) -> list[int] | None:
    """Device numbers in CUDA_VISIBLE_DEVICES; None if it contains anything else, such as UUIDs."""
    parts = [part.strip() for part in visible.split(",")] if visible.strip() else []
    return [int(part) for part in parts] if all(re.fullmatch(r"-?\d+", part) for part in parts) else None


def _visible(devices: list[int], count: int) -> int:
    """Number of visible devices: those listed before the first invalid number.

    A repeated number hides all devices, as in the CUDA runtime.
    """
    leading = list(itertools.takewhile(lambda device: device >= 0, devices))
    if len(set(leading)) < len(leading):
        return 0
    return next((i for i, device in enumerate(leading) if device >= count), len(leading))
