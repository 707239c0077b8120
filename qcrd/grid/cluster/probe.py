"""Joins the cluster of RAY_ADDRESS as a driver does and prints what it has; `qcrd doctor` runs it apart."""

from __future__ import annotations

import json
import logging

import ray

from qcrd.grid.cluster.nodes import nodes


def main() -> None:
    """Print [CPUs, GPUs] of its nodes; Ray raises where the address, the versions or the token are wrong."""
    ray.init(log_to_driver=False, logging_level=logging.ERROR)  # it reads RAY_ADDRESS
    print(json.dumps(nodes()))


if __name__ == "__main__":
    main()
