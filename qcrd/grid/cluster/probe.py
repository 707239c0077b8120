"""Joins the cluster at RAY_ADDRESS as a driver and prints its nodes; `qcrd doctor` runs it in a process."""

from __future__ import annotations

import json
import logging

import ray

from qcrd.grid.cluster.nodes import nodes


def main() -> None:
    """Print [CPUs, GPUs] per node as JSON; Ray raises if the address, the versions or the token are wrong."""
    ray.init(log_to_driver=False, logging_level=logging.ERROR)  # reads RAY_ADDRESS
    print(json.dumps(nodes()))


if __name__ == "__main__":
    main()
