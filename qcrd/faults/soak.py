"""Soak test: runs hundreds of small cells under injected faults and checks the results afterwards."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from qcrd import tasks
from qcrd.config import Task
from qcrd.faults import aftermath
from qcrd.faults.harm import Harm
from qcrd.grid.cluster.engines import Say
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home
from qcrd.tracking.server import served

SPLITS = {"train": 48, "validation": 16, "test": 16}
GRID = """
name: soak
preset: embedded
base:
  task: {splits}
  teacher: {{engine: recorded, path: {answers}, model: embedded}}
  student: {{architecture: {{d_model: 16, d_kv: 8, d_ff: 32, layers: 1, heads: 2}}, max_rationale: 24}}
  discriminator:
    architecture: {{d_model: 16, d_kv: 8, d_ff: 32, layers: 1, heads: 2}}
    pretrain_steps: 4
    update_steps: 1
  training: {{batch: 8, evaluate_every: 30}}
  rationales: {{m: 3}}
product: {{method: [finetuning, dss, qcrd], training.steps: [30, 120]}}
seeds: {seeds}
"""
DRIVER_SHARE = 0.06  # share of faults that hit the driver or all of Ray; each costs a restart
STARTS = 10  # maximum number of driver starts after the last fault
STOP_LIMIT = 30.0  # seconds within which a driver must end after SIGINT or SIGTERM


@dataclass(frozen=True, slots=True)
class SoakResult:
    """Result of a soak test."""

    cells: int
    seconds: float  # duration of the fault injection
    finished: int  # cells finished when the fault injection ended
    starts: int  # of the driver
    slowest_stop: float  # maximum seconds from SIGINT or SIGTERM to the driver's end
    faults: dict[str, int]  # number of faults by description
    trouble: list[str]  # violations found afterwards

    def text(self) -> str:
        """Human-readable summary."""
        harm = ", ".join(f"{fault} {count}" for fault, count in sorted(self.faults.items()))
        return (
            f"{self.cells} cells, {sum(self.faults.values())} faults in {self.seconds:.0f} s ({harm}); "
            f"{self.finished} cells finished under them, the driver started {self.starts} times and was "
            f"stopped within {self.slowest_stop:.0f} s\n"
            + ("\n".join(f"WRONG: {line}" for line in self.trouble) or "all checks passed")
        )


def soak(cells: int, minutes: float, every: float, again: int, seed: int, say: Say) -> SoakResult:
    """Run a generated grid under injected faults, in temporary folders, and check the results.

    Args:
        cells: number of cells, a multiple of six.
        minutes: duration of the fault injection, from the driver's start.
        every: mean seconds between two faults.
        again: number of cells to retrain without faults, for comparison.
        seed: of the faults and their times.
        say: prints a progress line.

    Raises:
        QcrdError: if MLflow does not start.
    """
    # A shell's background jobs ignore SIGINT, and the driver would inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    draw = random.Random(seed)
    count: Counter[str] = Counter()
    with TemporaryDirectory(prefix="qcrd-", dir="/tmp") as folder, served(Path(folder)) as mlflow:
        driver = _Driver(Path(folder), cells // 6, mlflow.uri)
        harm = Harm(driver.home, mlflow, draw)
        begun = time.monotonic()
        driver.start()
        end = begun + 60 * minutes
        while time.monotonic() < end and not driver.complete():
            time.sleep(draw.expovariate(1 / every))
            fault = None
            if not driver.runs():
                if driver.process.returncode and draw.random() < 0.5:
                    fault = harm.anything_at_rest()
                driver.start()
            elif draw.random() < DRIVER_SHARE:
                fault = driver.hit(draw, harm)
            else:
                fault = harm.anything()
            if fault:
                count[fault] += 1
                say(f"{time.monotonic() - begun:5.0f} s: {fault}; {driver.finished()} of {cells} cells")
        seconds = time.monotonic() - begun
        harm.end()
        finished, trouble = driver.finished(), []
        if not driver.finish():
            trouble.append(f"the grid did not finish: {driver.log.read_text()[-1500:]}")
        if driver.missed_stops:
            trouble.append(
                f"the driver did not stop within {STOP_LIMIT:.0f} s of a signal, {driver.missed_stops} times"
            )
        say("checking the results")
        study = Study.open(driver.grid, driver.home)
        trouble += aftermath.faults(study, mlflow.uri, driver.sessions, again, draw)
        return SoakResult(cells, seconds, finished, driver.starts, driver.slowest, dict(count), trouble)


class _Driver:
    """Runs `qcrd run` in a child process and restarts it."""

    process: subprocess.Popen[bytes]

    def __init__(self, folder: Path, seeds: int, tracking: str):
        self.home, self.sessions = Home(folder / "home"), folder / "ray"
        self.grid, self.log = folder / "soak.yaml", folder / "driver.log"
        answers = folder / "answers.jsonl"
        answers.write_text("".join(recorded_answers(SPLITS)))
        self.grid.write_text(GRID.format(splits=json.dumps(SPLITS), answers=answers, seeds=seeds))
        self.environment = {
            **{k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"},
            "QCRD_HOME": str(self.home.root),
            "MLFLOW_TRACKING_URI": tracking,
            "RAY_TMPDIR": str(folder),
        }
        self.starts, self.slowest, self.missed_stops = 0, 0.0, 0

    def start(self, *command: str) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "qcrd", *(command or ("run", str(self.grid)))],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        self.starts += not command

    def runs(self) -> bool:
        return self.process.poll() is None

    def complete(self) -> bool:
        return self.process.poll() == 0

    def finished(self) -> int:
        return len(list(self.home.root.glob("cells/*/record.json")))

    def hit(self, draw: random.Random, harm: Harm) -> str | None:
        """Signal the driver, kill its raylet, or run a second driver for a while."""
        target = draw.choice(("SIGKILL", "SIGINT", "SIGTERM", "raylet", "second"))
        if target == "raylet":
            return harm.kill_raylet()
        if target == "second":
            return self._second(draw)
        self.process.send_signal(getattr(signal, target))
        signalled = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(STOP_LIMIT)
        if self.runs():
            self.missed_stops += 1
            self.process.kill()
            self.process.wait()
        if target != "SIGKILL":
            self.slowest = max(self.slowest, time.monotonic() - signalled)
        return f"driver {target}"

    def _second(self, draw: random.Random) -> str:
        first = self.process
        self.start()
        second, self.process = self.process, first
        time.sleep(draw.uniform(5, 30))
        second.kill()
        second.wait()
        return "second driver for a while"

    def finish(self) -> bool:
        """Restart the driver until the grid is complete, then sync MLflow; returns whether both succeeded."""
        for _ in range(STARTS):
            if not self.runs():
                if self.complete():
                    break
                self.start()
            self.process.wait()
        complete = self.complete()
        self.start("sync", str(self.grid))
        return complete and self.process.wait() == 0


def recorded_answers(sizes: dict[str, int]) -> Iterator[str]:
    """JSON lines with recorded answers to the arithmetic task: three per question, the last one wrong.

    Args:
        sizes: number of questions by split.
    """
    splits = tasks.get("arithmetic").load(Task.model_validate(sizes))
    for question in (*splits.train, *splits.validation):
        right = f" {question.rationale} The answer is {question.label} ."
        wrong = f" {question.rationale} So we add. The answer is ( 2 + 29 ) ."
        yield json.dumps({"id": question.id, "samples": [right, right, wrong]}) + "\n"
