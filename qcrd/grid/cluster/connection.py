"""Connects to a Ray cluster, or starts one on loopback."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from qcrd.grid.cluster import private_files
from qcrd.grid.cluster.address import refuse_dead
from qcrd.grid.cluster.autoscale import await_gpus
from qcrd.grid.cluster.lost_node import interrupt_if_node_lost
from qcrd.grid.cluster.nodes import nodes
from qcrd.grid.cluster.shares import Node
from qcrd.grid.console import phase, say


@dataclass(frozen=True, slots=True)
class Cluster:
    """A Ray cluster."""

    nodes: tuple[Node, ...]  # nodes that are alive
    address: str

    @property
    def cpus(self) -> float:
        """CPUs of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """GPUs of all nodes."""
        return sum(node.gpus for node in self.nodes)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """Context with the Ray cluster at RAY_ADDRESS or, if that is not set, a local one on loopback."""
    given = os.environ.get("RAY_ADDRESS")
    own = not given
    refuse_dead(given)
    doing = f"joining Ray at {given}" if given else "starting Ray on this machine"
    say(doing)
    sessions = Path(private_files.session_folder())
    if own:
        private_files.protect_token()
        private_files.remove_old_sessions(sessions)
    with phase(doing):
        started = ray.init(
            address="local" if own else None,
            include_dashboard=False if own else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **({"_node_ip_address": "127.0.0.1", "_temp_dir": str(sessions)} if own else {}),
        )
    try:
        if not own:
            await_gpus(say)
        address = "a local Ray" if own else f"Ray at {started.address_info['gcs_address']}"
        with interrupt_if_node_lost():
            yield Cluster(nodes(), address)
    finally:
        ray.shutdown()
        if own:
            private_files.remove_old_sessions(sessions, ended=os.getpid())
