"""Requests GPUs from Ray's autoscaler and waits for them, on clusters that start without GPUs.

A grid's preset (auto) and its shares of a GPU depend on the cluster's GPUs, so the first GPUs must be there
before the grid is planned. Ray starts further machines by itself as cells wait for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import ray
from ray.autoscaler.sdk import request_resources

from qcrd.errors import ConfigError

VARIABLE = "QCRD_WAIT_FOR_GPUS"
"""Environment variable with the number of GPUs to wait for; set where the cluster's head is started."""
POLL_SECONDS = 2.0
REPORT_SECONDS = 120.0  # between two messages; machines may take long to start, or be unavailable


def await_gpus(say: Callable[[str], None]) -> None:
    """Wait until the cluster has the number of GPUs in QCRD_WAIT_FOR_GPUS; return at once if it is not set.

    Args:
        say: prints a line to the user.

    Raises:
        ConfigError: if the variable is not a whole number.
    """
    text = os.environ.get(VARIABLE) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{VARIABLE}: {text!r}; allowed: whole numbers from 0 up; correct or unset it")
    wanted = int(text)
    if _gpus() >= wanted:
        return
    request_resources(bundles=[{"GPU": 1}] * wanted)
    try:
        last_report = float("-inf")
        while (available := _gpus()) < wanted:
            if time.monotonic() - last_report >= REPORT_SECONDS:
                last_report = time.monotonic()
                say(f"waiting for {wanted} GPUs, {available:g} available; see `ray status` on the head node")
            time.sleep(POLL_SECONDS)
    finally:
        request_resources(bundles=[])  # otherwise the autoscaler keeps them


def _gpus() -> float:
    return float(ray.cluster_resources().get("GPU", 0))
