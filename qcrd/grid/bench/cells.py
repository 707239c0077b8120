"""What a grid is measured with: cells that train nothing, cells that compute all the time, and MLflow."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

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
from qcrd.tracking.feeder import Feeder
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.source import Source
from qcrd.tracking.server import Server
from qcrd.training.trainer import Progress
from qcrd.types import CellRecord

# Needs no teacher: nothing but Ray, the cells and MLflow is to be measured.
BASE = merged(EMBEDDED, {"method": "finetuning", "rationales": {"labels": "gold"}})


@dataclass
class Fed:
    """A grid's work, and what MLflow took meanwhile."""

    seconds: float = 0.0  # from the start to the end of the last cell
    marks: list[float] = field(default_factory=list)  # when the driver saw each cell end, from the start
    drained: float = 0.0  # seconds after it until MLflow had everything
    feeding: float = 0.0  # CPU seconds of the driver's thread and of the server, until the last cell ended


def cells(count: int, steps: int = 1) -> list[ResolvedCell]:
    """Cells of the embedded preset's student on gold labels, which differ in their seeds."""
    training = {"steps": steps, "evaluate_every": max(steps, 1)}
    settings = [merged(BASE, {"seed": seed, "training": training}) for seed in range(count)]
    return [resolve(Cell.model_validate(each)) for each in settings]


def skip(
    cell: ResolvedCell, name: str, home: Home, report: Callable[[Progress], None], keep_student: bool
) -> CellRecord:
    """Everything that a cell does apart from preparing and training: folder, lock, journal, record."""

    def work(folder: Path, log: Journal) -> Outcome:
        log.status("running")
        log.metrics(1, **{"loss/total": 1.0, "accuracy/validation": 50.0, "accuracy/test": 50.0})
        report(Progress(step=1, steps=1, loss=1.0))
        accuracy = {"validation": 50.0, "test": 50.0, "test_last": 50.0, "test_best": 50.0}
        return Outcome("done", 1, accuracy, 1, 0.0)

    return record_once(cell, name, home, work)


def through_ray(
    cells: Sequence[ResolvedCell], workers: int | None, run: Run, mlflow: Server | None, reuse: bool = True
) -> tuple[Fed, float]:
    """Work cells off as a grid does, in a home that goes.

    Args:
        cells: what is to be done.
        workers: cells at once; None is as many as fit.
        run: what does one.
        mlflow: fed meanwhile, as the driver of a grid does; None feeds nothing.
        reuse: whether workers go on to the next cell.

    Returns:
        What it took, and the cells per second from the first cell's beginning to the last one's end: what it
        takes to start workers is left out.
    """
    with TemporaryDirectory() as folder:
        home = Home(Path(folder))
        named = [(f"seed={cell.settings.seed}", cell) for cell in cells]
        watch = _Marks()
        with _feeding(named, home, mlflow) as fed:
            train_cells(
                named, home, home.root / "tune", Resources(concurrent_cells=workers), 0, watch, run, reuse
            )
            fed.seconds = time.perf_counter() - watch.begun
        fed.marks = watch.marks
        return fed, _rate([home.cell(cell.id) for cell in cells])


def one_after_the_other(cells: Sequence[ResolvedCell], run: Run) -> float:
    """Seconds that the same cells take in this process."""
    with TemporaryDirectory() as folder:
        begun = time.perf_counter()
        for cell in cells:
            run(cell, f"seed={cell.settings.seed}", Home(Path(folder)), lambda progress: None, True)
        return time.perf_counter() - begun


class _Marks(tune.Callback):
    """Notes when each cell's end was heard of."""

    def __init__(self):
        self.begun = time.perf_counter()
        self.marks: list[float] = []

    def on_trial_complete(self, iteration: int, trials: list, trial: object, **info: object) -> None:
        self.marks.append(time.perf_counter() - self.begun)


@contextmanager
def _feeding(named: Sequence[tuple[str, ResolvedCell]], home: Home, mlflow: Server | None) -> Iterator[Fed]:
    """Feeds MLflow as the driver of a grid does, from when it is connected."""
    fed = Fed()
    if mlflow is None:
        yield fed
        return
    grid = Source(fingerprint([time.time_ns()]), "bench", home.root / "grid")
    sources = [
        Source(cell.id, name, home.cell(cell.id), {"seed": cell.settings.seed}) for name, cell in named
    ]
    mirror = Mirror(mlflow.uri, "bench", grid, sources)
    pushing = 0.0

    def push():
        nonlocal pushing
        begun = time.thread_time()
        try:
            return mirror.push()
        finally:
            pushing += time.thread_time() - begun

    with Journal(grid.folder / journal.FILE) as log:
        log.status("running")
        push()  # the client's import and the connection are a start-up, of seconds
        before, pushing = mlflow.cpu_seconds(), 0.0
        feeder = Feeder(push)
        feeder.start()
        try:
            yield fed
        finally:
            fed.feeding = pushing + mlflow.cpu_seconds() - before
            log.status("done")
            begun = time.perf_counter()
            feeder.stop()
            fed.drained = time.perf_counter() - begun


def _rate(folders: Sequence[Path]) -> float:
    times = [
        event.time
        for folder in folders
        for event in journal.read(folder / journal.FILE)
        if isinstance(event, journal.Status)
    ]
    return len(folders) / (max(times) - min(times)) * 1000
