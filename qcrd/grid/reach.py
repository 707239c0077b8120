"""Joins the cluster of RAY_ADDRESS as a driver does and prints what it has; `qcrd doctor` runs it apart."""

from __future__ import annotations

import json
import logging

import ray


def main() -> None:
    """Print one JSON object; Ray raises where the address, the versions or the token are wrong."""
    ray.init(log_to_driver=False, logging_level=logging.ERROR)  # it reads RAY_ADDRESS
    have = ray.cluster_resources()
    nodes = sum(node["Alive"] for node in ray.nodes())
    print(json.dumps({"cpus": have.get("CPU", 0), "gpus": have.get("GPU", 0), "nodes": nodes}))


if __name__ == "__main__":
    main()
