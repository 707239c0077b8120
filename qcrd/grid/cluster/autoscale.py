"""Clusters that begin without their GPUs: asks Ray's autoscaler for some before a grid is planned for them.

A grid decides by the cluster's GPUs what it runs (preset auto, shares of a GPU), so it must not look too
early. Later machines come by themselves, as cells wait for them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import ray
from ray.autoscaler.sdk import request_resources

from qcrd.errors import ConfigError

VARIABLE = "QCRD_WAIT_FOR_GPUS"
"""How many; set where the cluster's head is started."""
POLL = 2.0  # seconds
SAY = 120.0  # seconds after which it is said again; machines may be long in coming, or not be had at all


def await_gpus(say: Callable[[str], None]) -> None:
    """Wait until the cluster has as many GPUs as QCRD_WAIT_FOR_GPUS says; nothing where it is not set.

    Args:
        say: what a person is told.

    Raises:
        ConfigError: where the variable is no whole number.
    """
    text = os.environ.get(VARIABLE) or "0"
    if not text.isdecimal():
        raise ConfigError(f"{VARIABLE}: {text!r}; allowed: whole numbers from 0; correct or unset it")
    wanted = int(text)
    if _gpus() >= wanted:
        return
    request_resources(bundles=[{"GPU": 1}] * wanted)
    try:
        told = float("-inf")
        while (have := _gpus()) < wanted:
            if time.monotonic() - told >= SAY:
                told = time.monotonic()
                say(f"waiting for {wanted} GPUs, {have:g} are there; `ray status` on the head says why")
            time.sleep(POLL)
    finally:
        request_resources(bundles=[])  # else they would be kept for ever


def _gpus() -> float:
    return ray.cluster_resources().get("GPU", 0)
