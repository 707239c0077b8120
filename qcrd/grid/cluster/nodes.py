"""The nodes of the Ray cluster that this process has joined."""

from __future__ import annotations

import ray

from qcrd.grid.cluster.shares import Node


def nodes() -> tuple[Node, ...]:
    """The nodes that are alive, with the resources that Ray offers on each."""
    resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    return tuple(
        Node(node_resources.get("CPU", 0), node_resources.get("GPU", 0)) for node_resources in resources
    )
