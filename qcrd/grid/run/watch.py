"""Progress of a grid's cells on the console, told by Ray Tune."""

from __future__ import annotations

import time
from typing import Any

from ray import tune

from qcrd.grid.console import duration, say

CELL_SECONDS = 15.0  # at least so long between two lines about running cells


class CellWatch(tune.Callback):
    """Progress of the cells: a line for each that ends, and now and then one for each that runs."""

    def __init__(self, total: int, finished: int):
        self.total, self.finished = total, finished
        self.begun = time.monotonic()
        self.last = self.begun
        self.ended = 0
        self.running: dict[str, str] = {}

    def on_trial_result(self, iteration: int, trials: list, trial: Any, result: dict, **info: Any) -> None:
        """A cell reported progress, or its end."""
        name = trial.config["name"]
        if "status" in result:
            self._ended(name, result)
            return
        accuracy = result.get("validation")
        known = f", validation {accuracy:.1f}%" if accuracy is not None else ""
        self.running[name] = (
            f"{name}: step {result['step']}/{result['steps']}, loss {result['loss']:.3f}{known}"
        )
        if time.monotonic() - self.last >= CELL_SECONDS:
            self.last = time.monotonic()
            for line in self.running.values():
                say("  " + line)

    def on_trial_error(self, iteration: int, trials: list, trial: Any, **info: Any) -> None:
        """A cell crashed; Tune may start it again."""
        name = trial.config["name"]
        self.running.pop(name, None)
        say(f"  {name}: crashed, time {trial.num_failures}; it is started again if retries are left")

    def _ended(self, name: str, result: dict) -> None:
        self.running.pop(name, None)
        self.ended += 1
        self.finished += 1
        left = self.total - self.finished
        pace = (time.monotonic() - self.begun) / self.ended
        if result["status"] == "failed":  # the driver says why, at the end
            say(f"[{self.finished}/{self.total}] {name}: failed, and is not started again")
            return
        outcome = f"test {result['test']:.1f}%" if result["status"] == "done" else result["status"]
        rest = f", {left} left, about {duration(pace * left)}" if left else ""
        say(f"[{self.finished}/{self.total}] {name}: {outcome} in {duration(result['seconds'])}{rest}")
