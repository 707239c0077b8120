"""Prints the progress of a grid's cells, as a callback of Ray Tune."""

from __future__ import annotations

import time
from typing import Any

from ray import tune

from qcrd.grid.console import duration, say

CELL_SECONDS = 15.0  # minimum time between two reports of running cells


class CellWatch(tune.Callback):
    """Prints a line for each cell that ends, and regularly one for each running cell.

    Args:
        total: number of cells of the grid.
        finished: number of cells that are already finished.
    """

    def __init__(self, total: int, finished: int):
        self.total, self.finished = total, finished
        self.started = time.monotonic()
        self.last = self.started
        self.ended = 0
        self.running: dict[str, str] = {}

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record a cell's progress or end."""
        name = trial.config["name"]
        if "status" in result:
            self._cell_ended(name, result)
            return
        accuracy = result.get("validation")
        validation_text = f", validation {accuracy:.1f}%" if accuracy is not None else ""
        self.running[name] = (
            f"{name}: step {result['step']}/{result['steps']}, loss {result['loss']:.3f}{validation_text}"
        )
        if time.monotonic() - self.last >= CELL_SECONDS:
            self.last = time.monotonic()
            for line in self.running.values():
                say("  " + line)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print that a cell crashed; Tune may restart it."""
        name = trial.config["name"]
        self.running.pop(name, None)
        say(f"  {name}: crashed (failure {trial.num_failures}); it is restarted if retries are left")

    def _cell_ended(self, name: str, result: dict[str, Any]) -> None:
        self.running.pop(name, None)
        self.ended += 1
        self.finished += 1
        left = self.total - self.finished
        pace = (time.monotonic() - self.started) / self.ended
        if result["status"] == "failed":  # the driver prints the reason at the end
            say(f"[{self.finished}/{self.total}] {name}: failed; not restarted")
            return
        outcome = f"test {result['test']:.1f}%" if result["status"] == "done" else result["status"]
        remaining_text = f", {left} left, about {duration(pace * left)}" if left else ""
        seconds = duration(result["seconds"])
        say(f"[{self.finished}/{self.total}] {name}: {outcome} in {seconds}{remaining_text}")
