"""Hundreds of small cells under a rain of faults, and what holds of them afterwards."""

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
DRIVER_SHARE = 0.06  # of the faults that hit the driver or the whole of Ray: each costs a new start
STARTS = 10  # at most so many once the faults are over
SOON = 30.0  # seconds within which a driver that is told to stop has to end


@dataclass(frozen=True, slots=True)
class Soaked:
    """What happened, and what came of it."""

    cells: int
    seconds: float
    finished: int  # cells, when the faults ended
    starts: int  # of the driver
    slowest_stop: float  # seconds from SIGINT or SIGTERM to the driver's end, at most
    faults: dict[str, int]  # what was done, how often
    trouble: list[str]  # what does not hold

    def text(self) -> str:
        """For people."""
        harm = ", ".join(f"{what} {count}" for what, count in sorted(self.faults.items()))
        return (
            f"{self.cells} cells, {sum(self.faults.values())} faults in {self.seconds:.0f} s ({harm}); "
            f"{self.finished} cells finished under them, the driver started {self.starts} times and was "
            f"stopped within {self.slowest_stop:.0f} s\n"
            + ("\n".join(f"WRONG: {line}" for line in self.trouble) or "every promise held")
        )


def soak(cells: int, minutes: float, every: float, again: int, seed: int, say: Say) -> Soaked:
    """Run a grid of its own under faults, in folders that go, and then look at everything.

    Args:
        cells: how many, a multiple of six.
        minutes: of faults, from when the driver has started.
        every: mean seconds between two faults.
        again: cells that are trained once more undisturbed, to compare.
        seed: of what is hit and when.
        say: what a person is told.

    Raises:
        QcrdError: where MLflow does not start.
    """
    # What a shell starts in the background ignores SIGINT, and so would every driver that is told to stop.
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
            done = None
            if not driver.runs():
                if driver.process.returncode and draw.random() < 0.5:
                    done = harm.anything_at_rest()
                driver.start()
            elif draw.random() < DRIVER_SHARE:
                done = driver.hit(draw, harm)
            else:
                done = harm.anything()
            if done:
                count[done] += 1
                say(f"{time.monotonic() - begun:5.0f} s: {done}; {driver.finished()} of {cells} cells")
        seconds = time.monotonic() - begun
        harm.end()
        finished, trouble = driver.finished(), []
        if not driver.finish():
            trouble.append(f"the grid does not run through: {driver.log.read_text()[-1500:]}")
        if driver.deaf:
            trouble.append(
                f"the driver was told to stop and did not within {SOON:.0f} s, {driver.deaf} times"
            )
        say("looking at what is there")
        study = Study.open(driver.grid, driver.home)
        trouble += aftermath.faults(study, mlflow.uri, driver.sessions, again, draw)
        return Soaked(cells, seconds, finished, driver.starts, driver.slowest, dict(count), trouble)


class _Driver:
    """`qcrd run` in a process, again and again."""

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
        self.starts, self.slowest, self.deaf = 0, 0.0, 0

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
        """The driver, or all of its Ray, or a second driver beside it."""
        what = draw.choice(("SIGKILL", "SIGINT", "SIGTERM", "raylet", "second"))
        if what == "raylet":
            return harm.kill_raylet()
        if what == "second":
            return self._second(draw)
        self.process.send_signal(getattr(signal, what))
        told = time.monotonic()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(SOON)
        if self.runs():
            self.deaf += 1
            self.process.kill()
            self.process.wait()
        if what != "SIGKILL":
            self.slowest = max(self.slowest, time.monotonic() - told)
        return f"driver {what}"

    def _second(self, draw: random.Random) -> str:
        first = self.process
        self.start()
        second, self.process = self.process, first
        time.sleep(draw.uniform(5, 30))
        second.kill()
        second.wait()
        return "second driver for a while"

    def finish(self) -> bool:
        """Whether the same command ends the grid, and MLflow has everything."""
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
    """Lines of recorded answers to the arithmetic task: three a question, the last one wrong.

    Args:
        sizes: of its splits.
    """
    splits = tasks.get("arithmetic").load(Task.model_validate(sizes))
    for question in (*splits.train, *splits.validation):
        right = f" {question.rationale} The answer is {question.label} ."
        wrong = f" {question.rationale} So we add. The answer is ( 2 + 29 ) ."
        yield json.dumps({"id": question.id, "samples": [right, right, wrong]}) + "\n"
