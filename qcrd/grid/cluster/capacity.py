"""Whether the weights of a teacher's engine fit where it will be, seen before anything starts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from qcrd.config import Resources, Teacher
from qcrd.errors import QcrdError
from qcrd.grid.cluster.shares import Node
from qcrd.hub import model_files
from qcrd.teacher.engines import ENGINES

GIB = 1 << 30
ASKED = 60.0  # seconds for a node with a GPU to say how large it is


@dataclass(frozen=True, slots=True)
class Capacity:
    """What an engine may take for its weights."""

    bytes: float
    what: str  # for people

    @classmethod
    def of(cls, resources: Resources, nodes: Sequence[Node]) -> Capacity | None:
        """On a node of this cluster, as clusters are of one kind; None where that is not to be known.

        Args:
            resources: of the grid.
            nodes: of the cluster, or this machine.
        """
        if not any(node.gpus for node in nodes):
            return cls(available()[0], "memory that is free here") if len(nodes) == 1 else None
        one = gpu_bytes()
        if one is None:
            return None
        count = max(1, int(1 if resources.teacher_gpus is None else resources.teacher_gpus))
        share = resources.teacher_memory
        return cls(share * count * one, f"GPU memory ({count} x {share:g} of one)")


def misfit(teacher: Teacher, files: model_files.Files, capacity: Capacity, on_gpu: bool) -> str:
    """Why an engine's weights do not fit, "" where they do; figures first, then what to do."""
    size = model_files.loaded_bytes(files, teacher, on_gpu)
    if size < capacity.bytes:
        return ""
    found = f"weights of {size / GIB:.1f} GiB once loaded, {capacity.bytes / GIB:.1f} GiB of {capacity.what}"
    return (
        f"does not fit: {found}; take a smaller teacher.model, a narrower teacher.dtype, "
        "teacher.quantization, or more resources.teacher_gpus"
    )


def check_capacity(teacher: Teacher, resources: Resources, nodes: Sequence[Node]) -> None:
    """Refuse a teacher whose weights do not fit; one of which that is not known passes.

    Raises:
        QcrdError: naming the model, what it takes and what there is.
    """
    if teacher.embedded or not ENGINES[teacher.engine].weights:
        return
    try:
        files = model_files.find(teacher.model, teacher.revision)
    except Exception:  # of many kinds; that the model is not there, whoever loads it says
        return
    capacity = Capacity.of(resources, nodes)
    why = misfit(teacher, files, capacity, any(node.gpus for node in nodes)) if capacity else ""
    if why:
        raise QcrdError(f"teacher.model {teacher.model} {why}")


def available(group: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """(free, total) bytes of memory; in a container with a limit, what that leaves."""
    machine = psutil.virtual_memory()
    try:
        limit = int((group / "memory.max").read_text())
        used = int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no such limit: "max"
        return machine.available, machine.total
    return max(0, min(machine.available, limit - used)), min(machine.total, limit)


def gpu_bytes() -> int | None:
    """Of this machine's first GPU, else of one of the cluster's; None where none answers soon."""
    import ray
    import torch
    from ray.exceptions import RayError

    def total() -> int:
        return torch.cuda.get_device_properties(0).total_memory

    if torch.cuda.is_available():
        return total()
    if not ray.is_initialized():
        return None
    try:
        return ray.get(ray.remote(num_gpus=1, num_cpus=0)(total).remote(), timeout=ASKED)
    except RayError:
        return None
