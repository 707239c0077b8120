"""Interleaved timing of several implementations, because the speed of a machine changes over time."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import torch
from torch.utils.flop_counter import FlopCounterMode

Implementation = Callable[[int], object]
"""Runs once. The argument is the number of the round, so that rounds can use different questions."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Times of one implementation."""

    seconds: list[float]  # one per round
    flops: int  # of matrix products, counted in the warm-up

    @property
    def median(self) -> float:
        """Median over the rounds, in seconds."""
        return median(self.seconds)


def time_interleaved(
    implementations: Mapping[str, Implementation], rounds: int, report: Callable[[str], None]
) -> dict[str, Timing]:
    """Run each implementation once as a warm-up and to count FLOPs, then time them in turn.

    Args:
        implementations: by name.
        rounds: number of timings of each.
        report: function that receives progress messages.
    """
    flops: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in implementations}
    for name, run in implementations.items():
        with FlopCounterMode(display=False) as counter:
            run(0)
        flops[name] = counter.get_total_flops()
        report(f"{name}: warm, {flops[name] / 1e12:.3f} TFLOP")
    for number in range(1, rounds + 1):
        for name, run in implementations.items():
            seconds[name].append(_seconds(run, number))
            report(f"round {number} of {rounds}: {name} {seconds[name][-1]:.3f} s")
    return {name: Timing(seconds[name], flops[name]) for name in implementations}


def ratio(numerator: Timing, denominator: Timing) -> float:
    """Median over the rounds of the ratio of two implementations' times in the same round."""
    return median(a / b for a, b in zip(numerator.seconds, denominator.seconds, strict=True))


def _seconds(run: Implementation, number: int) -> float:
    _synchronize()
    start = time.perf_counter()
    run(number)
    _synchronize()
    return time.perf_counter() - start


def _synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
