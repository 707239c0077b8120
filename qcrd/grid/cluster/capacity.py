"""Checks that the weights of a teacher's engine fit in memory, before anything starts."""

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
GPU_QUERY_TIMEOUT = 60.0  # seconds


@dataclass(frozen=True, slots=True)
class Capacity:
    """Memory available to an engine's weights."""

    bytes: float
    description: str  # for messages

    @classmethod
    def of(cls, resources: Resources, nodes: Sequence[Node]) -> Capacity | None:
        """Capacity on a node of the cluster, assuming that all nodes are of the same type; None if unknown.

        Args:
            resources: the grid's resources.
            nodes: nodes of the cluster, or this machine.
        """
        if not any(node.gpus for node in nodes):
            return cls(available()[0], "free memory") if len(nodes) == 1 else None
        memory_per_gpu = gpu_bytes()
        if memory_per_gpu is None:
            return None
        count = max(1, int(1 if resources.teacher_gpus is None else resources.teacher_gpus))
        share = resources.teacher_memory
        return cls(share * count * memory_per_gpu, f"GPU memory ({count} x {share:g} of one)")


def capacity_error(teacher: Teacher, files: model_files.Files, capacity: Capacity, on_gpu: bool) -> str:
    """Error message if an engine's weights do not fit, with the sizes and what to do; "" if they fit."""
    size = model_files.loaded_bytes(files, teacher, on_gpu)
    if size < capacity.bytes:
        return ""
    loaded, available = size / GIB, capacity.bytes / GIB
    return (
        f"does not fit: weights of {loaded:.1f} GiB once loaded, {available:.1f} GiB of "
        f"{capacity.description}; set a smaller teacher.model, a narrower teacher.dtype, "
        "teacher.quantization, or more resources.teacher_gpus"
    )


def check_capacity(teacher: Teacher, resources: Resources, nodes: Sequence[Node]) -> None:
    """Refuse a teacher whose weights do not fit; accept it if that is unknown.

    Raises:
        QcrdError: if they do not fit; names the model, its size and the available memory.
    """
    if teacher.embedded or not ENGINES[teacher.engine].weights:
        return
    try:
        files = model_files.find(teacher.model, teacher.revision)
    except Exception:  # of many types; loading reports a missing model
        return
    capacity = Capacity.of(resources, nodes)
    message = capacity_error(teacher, files, capacity, any(node.gpus for node in nodes)) if capacity else ""
    if message:
        raise QcrdError(f"teacher.model {teacher.model} {message}")


def available(cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """(free, total) bytes of memory of this machine or, if it has a memory limit, of this container."""
    machine = psutil.virtual_memory()
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
    except (OSError, ValueError):  # no such limit: "max"
        return machine.available, machine.total
    return max(0, min(machine.available, limit - used)), min(machine.total, limit)


def gpu_bytes() -> int | None:
    """Memory of this machine's first GPU, else of one of the cluster's; None if none answers in time."""
    import ray
    import torch
    from ray.exceptions import RayError

    def total() -> int:
        return int(torch.cuda.get_device_properties(0).total_memory)

    if torch.cuda.is_available():
        return total()
    if not ray.is_initialized():
        return None
    try:
        return int(ray.get(ray.remote(num_gpus=1, num_cpus=0)(total).remote(), timeout=GPU_QUERY_TIMEOUT))
    except RayError:
        return None
