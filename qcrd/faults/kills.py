"""A grid whose driver is killed again and again, against the same grid left alone: time and results."""

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

ALLOWED = 1.5  # times the undisturbed grid's time


@dataclass(frozen=True, slots=True)
class FaultFigures:
    """What came of the two runs."""

    undisturbed: float  # seconds
    disturbed: float  # seconds, with all new starts
    kills: list[float]  # seconds from the beginning at which the driver was killed
    cells: int
    different: list[str]  # names of cells whose weights or predictions are not those of the undisturbed grid

    @property
    def ratio(self) -> float:
        """Time of the disturbed grid over the other's."""
        return self.disturbed / self.undisturbed

    def text(self) -> str:
        """For people."""
        moments, same = ", ".join(f"{second:.0f}" for second in self.kills), self.cells - len(self.different)
        wrong = f"; different: {', '.join(self.different)}" if self.different else ""
        return (
            f"{self.cells} cells, left alone {self.undisturbed:.0f} s\n"
            f"driver killed {len(self.kills)} times (after {moments} s): {self.disturbed:.0f} s, "
            f"{self.ratio:.2f} times (allowed: {ALLOWED})\n"
            f"{same} of {self.cells} cells have equal weights and predictions{wrong}"
        )


def bench_kills(grid: Path, preset: str, kills: int, seed: int, say: Say) -> FaultFigures:
    """Run a grid twice in homes of its own, once with its driver killed at random moments.

    Args:
        grid: its YAML; ten minutes of work or more, since each new start takes some twenty seconds.
        preset: instead of the file's.
        kills: how often.
        seed: of the moments, which are spread over the undisturbed grid's time.
        say: what a person is told.

    Raises:
        QcrdError: where the grid does not run through.
    """
    with TemporaryDirectory(prefix="qcrd-faults-") as folder:
        alone, killed = (Home(Path(folder) / name) for name in ("alone", "killed"))
        say(f"{grid}: left alone")
        undisturbed, _ = worked_off(grid, preset, alone, [], say)
        draw = random.Random(seed)
        moments = sorted(draw.uniform(0, undisturbed) for _ in range(kills))
        say(f"{undisturbed:.0f} s; now killed after {', '.join(f'{m:.0f}' for m in moments)} s")
        disturbed, done = worked_off(grid, preset, killed, moments, say)
        study = Study.open(grid, alone, preset)
        names = dict(zip(study.ids, (planned.name for planned in study.cells), strict=True))
        different = [name for cell_id, name in names.items() if not equal(cell_id, alone, killed)]
    return FaultFigures(undisturbed, disturbed, done, len(names), different)


def worked_off(
    grid: Path, preset: str, home: Home, moments: Sequence[float], say: Say
) -> tuple[float, list[float]]:
    """Run a grid to its end, its driver killed at `moments` (seconds) and started anew each time.

    Returns:
        Seconds in all, and when it was killed: not after it had ended.
    """
    begun, done = time.monotonic(), []
    environment = {**os.environ, "QCRD_HOME": str(home.root)}
    environment.pop("MLFLOW_TRACKING_URI", None)  # these runs are nobody's results
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
            raise QcrdError(f"{grid} does not run through:\n{output[-2000:]}")
        break
    return time.monotonic() - begun, done
