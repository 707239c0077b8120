"""The nodes of the cluster that this process has joined."""

from __future__ import annotations

import ray

from qcrd.grid.cluster.shares import Node


def nodes() -> tuple[Node, ...]:
    """Those that are up, with what Ray offers of each."""
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return tuple(Node(have.get("CPU", 0), have.get("GPU", 0)) for have in alive)
