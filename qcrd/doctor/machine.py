"""Checks of the machine: GPUs, memory, limit of open files."""

from __future__ import annotations

import resource
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from qcrd.doctor.check import Check, error, ok, warning
from qcrd.grid.cluster.capacity import GIB, available

LEAST_MEMORY = 2 * GIB  # bytes: one vLLM engine and one worker with torch
GOOD_MEMORY = 6 * GIB  # bytes: also Ray's head, MLflow and a second worker
LEAST_FILES = 256  # enough for a grid on two cores; the need grows with the number of workers
GOOD_FILES = 4096
LEAST_SHARED = GIB // 2  # bytes of /dev/shm for the object store of `cluster/local.sh`


def gpus() -> Iterator[Check]:
    """Check each GPU and its memory; a GPU that torch cannot use is an error."""
    import torch

    driver = _driver()
    build = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is a CPU build"
    if not torch.cuda.is_available():
        if driver:
            yield error(
                "GPU",
                f"the machine has {'; '.join(driver)}, but torch sees none: {build}",
                "with a CPU build: `cluster/local.sh up` installs the CUDA one; else a newer NVIDIA driver, "
                "or CUDA_VISIBLE_DEVICES hides it",
            )
        else:
            yield ok("GPU", f"none ({build}); everything runs on CPUs, and `preset: auto` is embedded")
        return
    for i in range(torch.cuda.device_count()):
        name = torch.cuda.get_device_name(i)
        try:
            torch.zeros(1, device=f"cuda:{i}").add_(1).item()
            free, total = torch.cuda.mem_get_info(i)
        except RuntimeError as trouble:  # the driver is too old, or the GPU is broken or occupied
            yield error(
                "GPU",
                f"{name}: {str(trouble).splitlines()[0]} ({build})",
                "install a driver for torch's CUDA version",
            )
            continue
        found = f"{name}, {free / GIB:.0f} of {total / GIB:.0f} GiB free, {build}"
        if free < total / 2:
            yield warning("GPU", found, "another process uses the rest; see nvidia-smi")
        else:
            yield ok("GPU", found)


def memory() -> Iterator[Check]:
    """Check the memory available to this process, within its container's limit."""
    free, total = available()
    found = f"{free / GIB:.1f} of {total / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        yield error("memory", found, f"free at least {LEAST_MEMORY // GIB} GiB by ending other processes")
    elif free < GOOD_MEMORY:
        yield warning("memory", found, "resources.concurrent_cells: 1, or end other processes")
    else:
        yield ok("memory", found)
    shared = Path("/dev/shm")  # noqa: S108 - never written to
    if shared.is_dir() and (left := shutil.disk_usage(shared).free) < LEAST_SHARED:
        yield warning(
            "shared memory",
            f"{left / GIB:.1f} GiB free in {shared}; Ray's object store falls back to the disk",
            "in a container: --shm-size=1g or more",
        )


def open_files() -> Iterator[Check]:
    """Check the limit of open files; Ray raises its soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield open_file_limits(soft, hard)


def open_file_limits(soft: int, hard: int) -> Check:
    """Check a soft and a hard limit of open files; -1 (RLIM_INFINITY) means unlimited."""
    found = f"{_number(soft)}, can be raised to {_number(hard)}"
    remedy = f"`ulimit -n {GOOD_FILES}` in the shell that starts Ray, or nofile in /etc/security/limits.conf"
    if 0 <= hard < LEAST_FILES:
        return error("open files", found, remedy)
    if 0 <= hard < GOOD_FILES:
        return warning("open files", found, remedy)
    return ok("open files", found)


def _number(limit: int) -> str:
    return "unlimited" if limit < 0 else str(limit)


def _driver() -> list[str]:
    """Name and driver version of each GPU from nvidia-smi; empty if it is not installed or sees no GPU."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    try:
        result = subprocess.run(
            [program, "--query-gpu=name,driver_version", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    if result.returncode:
        return []
    return [line.replace(", ", " with driver ") for line in result.stdout.splitlines()]
