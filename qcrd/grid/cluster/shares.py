"""Resources of one cell and of one teacher engine, checked against the cluster before anything starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qcrd.config import Resources
from qcrd.errors import QcrdError


class Node(NamedTuple):
    """Resources of a node of the cluster; a cell or an engine runs on one node."""

    cpus: float
    gpus: float


def default_share(gpus: float) -> float:
    """Default share of a GPU per cell, if it is neither set nor measured."""
    return 0.25 if gpus else 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """CPUs and GPUs of one cell and of one teacher engine."""

    cell_cpus: float
    cell_gpus: float
    teacher_cpus: float
    teacher_gpus: float

    @classmethod
    def of(cls, resources: Resources, nodes: Sequence[Node]) -> Shares:
        """The shares that `resources` sets, with defaults for these nodes.

        An engine gets fewer cores than requested if otherwise not all engines could run at the same time;
        some would wait forever.

        Args:
            resources: the grid's resources.
            nodes: nodes of the cluster.

        Raises:
            QcrdError: if a cell or an engine fits no node, or not all engines fit.
        """
        gpus = sum(node.gpus for node in nodes)
        wanted = resources.cell_gpus
        cell_gpus = default_share(gpus) if wanted is None or wanted == "auto" else wanted
        teacher_gpus = (1 if gpus else 0) if resources.teacher_gpus is None else resources.teacher_gpus
        actors = resources.teacher_actors
        largest = Node(max(node.cpus for node in nodes), max(node.gpus for node in nodes))
        subject = "a node has at most" if len(nodes) > 1 else "there are"
        for field, requested, available, unit in (
            ("cell_cpus", resources.cell_cpus, largest.cpus, "CPUs"),
            ("cell_gpus", cell_gpus, largest.gpus, "GPUs"),
            ("teacher_gpus", teacher_gpus, largest.gpus, "GPUs for an engine"),
        ):
            if requested > available:
                message = f"{requested:g} {unit} are requested, {subject} {available:g}"
                raise _resource_error(field, message, available)
        cell = Node(resources.cell_cpus, cell_gpus)
        if not any(_instances(node, cell) for node in nodes):
            available = max(node.cpus for node in nodes if node.gpus >= cell_gpus)
            message = (
                f"{resources.cell_cpus:g} CPUs and {cell_gpus:g} GPUs are requested on one node, nodes with "
                f"these GPUs have at most {available:g} CPUs"
            )
            raise _resource_error("cell_cpus", message, available)
        engine = Node(0, teacher_gpus)
        fitting = int(sum(_instances(node, engine) for node in nodes)) if teacher_gpus else actors
        if actors > fitting:
            message = f"{actors} engines of {teacher_gpus:g} GPUs each are requested, {fitting} fit"
            raise _resource_error("teacher_actors", message, fitting)
        cpus = _engine_cores(resources.teacher_cpus, teacher_gpus, actors, nodes)
        return cls(resources.cell_cpus, cell_gpus, cpus, teacher_gpus)


def _engine_cores(wanted: float, gpus: float, count: int, nodes: Sequence[Node]) -> float:
    """Cores per engine: the largest number up to `wanted` with which `count` engines run at the same time."""
    shares = {wanted, *(node.cpus / n for node in nodes for n in range(1, count + 1) if node.cpus)}
    fitting = [
        cpus
        for cpus in shares
        if cpus <= wanted and sum(_instances(node, Node(cpus, gpus)) for node in nodes) >= count
    ]
    return max(fitting, default=0.0)


def _instances(node: Node, demand: Node) -> float:
    """How many cells or engines with this demand fit on the node."""
    counts = [
        math.floor(available / required + 1e-9)
        for available, required in zip(node, demand, strict=True)
        if required
    ]
    return min(counts, default=math.inf)


def _resource_error(field: str, problem: str, allowed: float) -> QcrdError:
    return QcrdError(
        f"resources.{field}: {problem}; allowed: up to {allowed:g}; lower it, or use a larger cluster"
    )
