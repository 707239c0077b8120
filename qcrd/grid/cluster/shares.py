"""What one cell and one teacher's engine take of a cluster, checked before anything starts."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qcrd.config import Resources
from qcrd.errors import QcrdError


class Node(NamedTuple):
    """What a machine of the cluster offers; nothing that is placed spans two of them."""

    cpus: float
    gpus: float


def default_share(gpus: float) -> float:
    """Of a GPU for one cell where nobody says or has measured it."""
    return 0.25 if gpus else 0.0


@dataclass(frozen=True, slots=True)
class Shares:
    """CPUs and GPUs of one cell and of one teacher's engine."""

    cell_cpus: float
    cell_gpus: float
    teacher_cpus: float
    teacher_gpus: float

    @classmethod
    def of(cls, resources: Resources, nodes: Sequence[Node]) -> Shares:
        """What `resources` asks for, with its defaults for a cluster of these nodes.

        An engine takes fewer cores than asked for where all could not be up at once: it is content with
        fewer, and would else wait for ever.

        Raises:
            QcrdError: where a cell or an engine fits no node, or not all engines find one.
        """
        gpus = sum(node.gpus for node in nodes)
        wanted = resources.cell_gpus
        cell_gpus = default_share(gpus) if wanted is None or wanted == "auto" else wanted
        teacher_gpus = (1 if gpus else 0) if resources.teacher_gpus is None else resources.teacher_gpus
        actors = resources.teacher_actors
        most = Node(max(node.cpus for node in nodes), max(node.gpus for node in nodes))
        who = "a node has at most" if len(nodes) > 1 else "there are"
        for field, asked, there, what in (
            ("cell_cpus", resources.cell_cpus, most.cpus, "CPUs"),
            ("cell_gpus", cell_gpus, most.gpus, "GPUs"),
            ("teacher_gpus", teacher_gpus, most.gpus, "GPUs for an engine"),
        ):
            if asked > there:
                raise _refusal(field, f"{asked:g} {what} are asked for, {who} {there:g}", there)
        together = Node(resources.cell_cpus, cell_gpus)
        if not any(_room(node, together) for node in nodes):
            there = max(node.cpus for node in nodes if node.gpus >= cell_gpus)
            both = f"{resources.cell_cpus:g} CPUs and {cell_gpus:g} GPUs are asked for on one node"
            raise _refusal("cell_cpus", f"{both}, those with the GPUs have at most {there:g} CPUs", there)
        places = int(sum(_room(node, Node(0, teacher_gpus)) for node in nodes)) if teacher_gpus else actors
        if actors > places:
            engines_asked = (
                f"{actors} engines of {teacher_gpus:g} GPUs each are asked for, there is room for {places}"
            )
            raise _refusal("teacher_actors", engines_asked, places)
        cpus = _cores(resources.teacher_cpus, teacher_gpus, actors, nodes)
        return cls(resources.cell_cpus, cell_gpus, cpus, teacher_gpus)


def _cores(wanted: float, gpus: float, count: int, nodes: Sequence[Node]) -> float:
    """Cores of an engine, the most up to `wanted` with which `count` of them are up at once."""
    shares = {wanted, *(node.cpus / n for node in nodes for n in range(1, count + 1) if node.cpus)}
    fitting = [
        cpus
        for cpus in shares
        if cpus <= wanted and sum(_room(node, Node(cpus, gpus)) for node in nodes) >= count
    ]
    return max(fitting, default=0.0)


def _room(node: Node, each: Node) -> float:
    """How many of these the node holds."""
    whole = [math.floor(there / asked + 1e-9) for there, asked in zip(node, each, strict=True) if asked]
    return min(whole, default=math.inf)


def _refusal(field: str, found: str, allowed: float) -> QcrdError:
    return QcrdError(
        f"resources.{field}: {found}; allowed: up to {allowed:g}; lower it, or run where there are more"
    )
