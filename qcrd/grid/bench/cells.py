"""Cells for benchmarks of the grid: empty ones, and ones that compute; run through Ray or in sequence."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ray import tune

from qcrd.cell.record import Outcome, record_once
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell, Resources
from qcrd.config.grid import merged
from qcrd.config.presets import EMBEDDED
from qcrd.fingerprint import fingerprint
from qcrd.grid.run.tune import Run, train_cells
from qcrd.storage import journal
from qcrd.storage.home import Home
from qcrd.storage.journal import Journal
from qcrd.tracking.feeder import Feeder, Report
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.source import Source
from qcrd.tracking.server import Server
from qcrd.training.trainer import Progress
from qcrd.types import CellRecord

# Without a teacher: measures only Ray, the cells and MLflow.
BASE_SETTINGS = merged(EMBEDDED, {"method": "finetuning", "rationales": {"labels": "gold"}})


@dataclass
class GridTiming:
    """Timing of a run of cells, and of MLflow meanwhile."""

    seconds: float = 0.0  # from the start until the last cell has ended
    end_times: list[float] = field(
        default_factory=list
    )  # seconds from the start until the driver was notified of each cell's end
    drain_seconds: float = 0.0  # seconds from then until MLflow had received everything
    feed_seconds: float = (
        0.0  # CPU seconds of the driver's feeding thread and the server until the last cell ended
    )


def cells(count: int, steps: int = 1) -> list[ResolvedCell]:
    """Cells that train the embedded preset's student on gold labels, with different seeds."""
    training = {"steps": steps, "evaluate_every": max(steps, 1)}
    settings = [merged(BASE_SETTINGS, {"seed": seed, "training": training}) for seed in range(count)]
    return [resolve(Cell.model_validate(cell_settings)) for cell_settings in settings]


def run_empty_cell(
    cell: ResolvedCell, name: str, home: Home, report: Callable[[Progress], None], keep_student: bool
) -> CellRecord:
    """Do everything of a cell except preparation and training: folder, lock, journal, record."""

    def work(folder: Path, log: Journal) -> Outcome:
        log.status("running")
        log.metrics(1, **{"loss/total": 1.0, "accuracy/validation": 50.0, "accuracy/test": 50.0})
        report(Progress(step=1, steps=1, loss=1.0))
        accuracy = {"validation": 50.0, "test": 50.0, "test_last": 50.0, "test_best": 50.0}
        return Outcome("done", 1, accuracy, 1, 0.0)

    return record_once(cell, name, home, work)


def run_with_ray(
    cells: Sequence[ResolvedCell], workers: int | None, run: Run, mlflow: Server | None, reuse: bool = True
) -> tuple[GridTiming, float]:
    """Run cells as a grid does, in a temporary home.

    Args:
        cells: the cells.
        workers: maximum number of concurrent cells; None: as many as fit.
        run: runs one cell.
        mlflow: server that is fed meanwhile, as a grid's driver does; None: no MLflow.
        reuse: whether a worker runs several cells.

    Returns:
        The timing, and cells per second from the start of the first cell to the end of the last one, which
        excludes the start of workers.
    """
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        named_cells = [(f"seed={cell.settings.seed}", cell) for cell in cells]
        watch = _EndTimes()
        with _mlflow_fed(named_cells, home, mlflow) as timing:
            train_cells(
                named_cells,
                home,
                home.root / "tune",
                Resources(concurrent_cells=workers),
                0,
                watch,
                run,
                reuse,
            )
            timing.seconds = time.perf_counter() - watch.started
        timing.end_times = watch.end_times
        return timing, _rate([home.cell(cell.id) for cell in cells])


def run_sequentially(cells: Sequence[ResolvedCell], run: Run) -> float:
    """Seconds to run the cells in this process."""
    with TemporaryDirectory() as folder:
        started = time.perf_counter()
        for cell in cells:
            run(cell, f"seed={cell.settings.seed}", Home(Path(folder)), lambda progress: None, True)
        return time.perf_counter() - started


class _EndTimes(tune.Callback):
    """Records when the driver is notified of each cell's end."""

    def __init__(self) -> None:
        self.started = time.perf_counter()
        self.end_times: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: object, **info: object) -> None:
        self.end_times.append(time.perf_counter() - self.started)


@contextmanager
def _mlflow_fed(
    named_cells: Sequence[tuple[str, ResolvedCell]], home: Home, mlflow: Server | None
) -> Iterator[GridTiming]:
    """Context that feeds MLflow as a grid's driver does, once it is connected."""
    timing = GridTiming()
    if mlflow is None:
        yield timing
        return
    grid = Source(fingerprint([time.time_ns()]), "bench", home.root / "grid")
    sources = [
        Source(cell.id, name, home.cell(cell.id), {"seed": cell.settings.seed}) for name, cell in named_cells
    ]
    mirror = Mirror(mlflow.uri, "bench", grid, sources)
    pushing = 0.0

    def push() -> Report:
        nonlocal pushing
        started = time.thread_time()
        try:
            return mirror.push()
        finally:
            pushing += time.thread_time() - started

    with Journal(grid.folder / journal.FILE) as log:
        log.status("running")
        push()  # import of the client and connection take seconds and are not measured
        before, pushing = mlflow.cpu_seconds(), 0.0
        feeder = Feeder(push)
        feeder.start()
        try:
            yield timing
        finally:
            timing.feed_seconds = pushing + mlflow.cpu_seconds() - before
            log.status("done")
            started = time.perf_counter()
            feeder.stop()
            timing.drain_seconds = time.perf_counter() - started


def _rate(folders: Sequence[Path]) -> float:
    times = [
        event.time
        for folder in folders
        for event in journal.read(folder / journal.FILE)
        if isinstance(event, journal.Status)
    ]
    return len(folders) / (max(times) - min(times)) * 1000
