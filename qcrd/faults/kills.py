"""Compares a grid whose driver is killed repeatedly with the same grid undisturbed: time and results."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from qcrd.errors import QcrdError
from qcrd.faults.aftermath import equal
from qcrd.grid.cluster.engines import Say
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home

ALLOWED = 1.5  # maximum ratio of the disturbed to the undisturbed time


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """Result of the two runs."""

    undisturbed: float  # seconds
    disturbed: float  # seconds, including all restarts
    kills: list[float]  # seconds since the start at which the driver was killed
    cells: int
    different: list[str]  # names of cells whose weights or predictions differ between the runs

    @property
    def ratio(self) -> float:
        """Time of the disturbed run divided by that of the undisturbed run."""
        return self.disturbed / self.undisturbed

    def text(self) -> str:
        """Human-readable summary."""
        moments, same = ", ".join(f"{second:.0f}" for second in self.kills), self.cells - len(self.different)
        wrong = f"; different: {', '.join(self.different)}" if self.different else ""
        return (
            f"{self.cells} cells, undisturbed {self.undisturbed:.0f} s\n"
            f"driver killed {len(self.kills)} times (after {moments} s): {self.disturbed:.0f} s, "
            f"{self.ratio:.2f} times (allowed: {ALLOWED})\n"
            f"{same} of {self.cells} cells have equal weights and predictions{wrong}"
        )


def bench_kills(grid: Path, preset: str, kills: int, seed: int, say: Say) -> FaultFigures:
    """Run a grid twice in temporary homes: undisturbed, and with its driver killed at random moments.

    Args:
        grid: its YAML file; should take at least ten minutes, since each restart takes about twenty seconds.
        preset: overrides the file's preset.
        kills: number of kills.
        seed: of the moments, which are uniform over the undisturbed run's time.
        say: prints a progress line.

    Raises:
        QcrdError: if the grid fails.
    """
    with TemporaryDirectory(prefix="qcrd-faults-") as folder:
        alone, killed = (Home(Path(folder) / name) for name in ("alone", "killed"))
        say(f"{grid}: undisturbed")
        undisturbed, _ = run_with_kills(grid, preset, alone, [], say)
        draw = random.Random(seed)
        moments = sorted(draw.uniform(0, undisturbed) for _ in range(kills))
        say(f"{undisturbed:.0f} s; now killed after {', '.join(f'{m:.0f}' for m in moments)} s")
        disturbed, done = run_with_kills(grid, preset, killed, moments, say)
        study = Study.open(grid, alone, preset)
        names = dict(zip(study.ids, (planned.name for planned in study.cells), strict=True))
        different = [name for cell_id, name in names.items() if not equal(cell_id, alone, killed)]
    return FaultFigures(undisturbed, disturbed, done, len(names), different)


def run_with_kills(
    grid: Path, preset: str, home: Home, moments: Sequence[float], say: Say
) -> tuple[float, list[float]]:
    """Run a grid to completion; kill and restart its driver at `moments` (seconds since the start).

    Returns:
        Total seconds, and the moments of the kills; moments after completion are skipped.
    """
    begun, done = time.monotonic(), []
    environment = {**os.environ, "QCRD_HOME": str(home.root)}
    environment.pop("MLFLOW_TRACKING_URI", None)  # do not log these runs
    for moment in [*moments, None]:
        process = subprocess.Popen(
            [sys.executable, "-m", "qcrd", "run", str(grid), "--preset", preset],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            left = None if moment is None else max(0.0, moment - (time.monotonic() - begun))
            output, _ = process.communicate(timeout=left)
        except subprocess.TimeoutExpired:
            done.append(time.monotonic() - begun)
            say(f"killed after {done[-1]:.0f} s")
            continue
        finally:
            process.kill()
            process.wait()
        if process.returncode:
            raise QcrdError(f"{grid} failed:\n{output[-2000:]}")
        break
    return time.monotonic() - begun, done
