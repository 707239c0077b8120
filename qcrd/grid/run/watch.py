"""Shows the progress of a grid's cells, as a callback of Ray Tune."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from ray import tune

from qcrd.grid.console import bar, counted, duration, say

SHOWN = 12  # running cells in the status


@dataclass(slots=True)
class _Running:
    """A running cell, by its last report."""

    step: int
    steps: int
    loss: float
    validation: float | None
    first: tuple[int, float]  # step and time of the first report of this attempt

    def text(self, now: float) -> str:
        """A line without the cell's name."""
        text = bar(self.step, self.steps, f"step {self.step}/{self.steps}, loss {self.loss:.3f}")
        if self.validation is not None:
            text += f", validation {self.validation:.1f}%"
        steps, seconds = self.step - self.first[0], now - self.first[1]
        if steps > 0:
            text += f", {duration(seconds / steps * (self.steps - self.step))} left"
        return text


class CellWatch(tune.Callback):
    """Prints a line for each cell that ends, and has the progress of the running ones as a status.

    Args:
        total: number of cells of the grid.
        finished: number of cells that are already finished.
    """

    def __init__(self, total: int, finished: int):
        self.total, self.finished = total, finished
        self.started = time.monotonic()
        self.ended = 0
        self.running: dict[str, _Running] = {}

    def lines(self) -> list[str]:
        """The status: the grid, then the running cells."""
        now = time.monotonic()
        running = dict(self.running)  # Tune reports from another thread
        grid = bar(self.finished, self.total, f"{self.finished} of {counted(self.total, 'cell')}")
        elapsed = f"{duration(now - self.started)} so far{self._remaining()}"
        width = max(map(len, running), default=0)
        rows = [f"{name:<{width}}  {cell.text(now)}" for name, cell in list(running.items())[:SHOWN]]
        more = [f"and {len(running) - SHOWN} more"] if len(running) > SHOWN else []
        return [f"{grid}, {elapsed}", *rows, *more]

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        """Record a cell's progress or end."""
        name = trial.config["name"]
        if "status" in result:
            self._cell_ended(name, result)
            return
        step, before = result["step"], self.running.get(name)
        # A restarted cell goes back to its checkpoint, and its pace is measured anew.
        first = before.first if before is not None and before.step <= step else (step, time.monotonic())
        self.running[name] = _Running(step, result["steps"], result["loss"], result.get("validation"), first)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        """Print that a cell crashed; Tune may restart it."""
        name = trial.config["name"]
        self.running.pop(name, None)
        say(f"  {name}: crashed (failure {trial.num_failures}); it is restarted if retries are left")

    def _cell_ended(self, name: str, result: dict[str, Any]) -> None:
        self.running.pop(name, None)
        self.ended += 1
        self.finished += 1
        if result["status"] == "failed":  # the driver prints the reason at the end
            say(f"[{self.finished}/{self.total}] {name}: failed; not restarted")
            return
        outcome = f"test {result['test']:.1f}%" if result["status"] == "done" else result["status"]
        seconds = duration(result["seconds"])
        say(f"[{self.finished}/{self.total}] {name}: {outcome} in {seconds}{self._remaining()}")

    def _remaining(self) -> str:
        """Cells and time left, at the pace of the cells that ended; "" if none has, or none is left."""
        left = self.total - self.finished
        if not left or not self.ended:
            return ""
        pace = (time.monotonic() - self.started) / self.ended
        return f", {left} left, about {duration(pace * left)}"
