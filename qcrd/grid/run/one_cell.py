"""Trains one cell of a grid in this process, without Ray, vLLM and MLflow."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from qcrd.cell.data import task_data
from qcrd.cell.resolved import ResolvedCell
from qcrd.cell.run import run_cell
from qcrd.errors import DataError
from qcrd.grid.console import say
from qcrd.grid.plan import labels
from qcrd.grid.plan.changes import NO_CHANGES, Changes
from qcrd.grid.plan.expansion import PlannedCell, SampleNeed
from qcrd.grid.plan.students import refuse_unusable
from qcrd.grid.plan.study import Study
from qcrd.grid.run.drawing import draw_need
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home
from qcrd.teacher.engine import Job, LocalEngine
from qcrd.teacher.engines import ENGINES
from qcrd.training.trainer import Progress
from qcrd.types import CellRecord

REPORT_SECONDS = 5.0  # seconds between two lines of progress


def train(
    path: Path, home: Home, name: str, preset: str | None = None, changes: Changes = NO_CHANGES
) -> CellRecord:
    """Train a cell, or resume its training; the grid finds its record. A finished cell is not trained again.

    Missing samples are drawn if the teacher is a server or a file of recorded answers.

    Args:
        path: the grid's YAML file.
        home: where samples are read and results are written.
        name: of the cell, or the beginning of its id.
        preset: overrides the file's.
        changes: changes of the file from the command line.

    Raises:
        DataError: if samples are missing whose engine needs Ray.
        QcrdError: if settings, data or the machine do not allow the training.
    """
    study = Study.open(path, home, preset, changes=changes)
    return train_planned(study, study.find(name))


def train_planned(study: Study, planned: PlannedCell) -> CellRecord:
    """Train a cell of an opened grid; see `train`."""
    home, cell = study.home, planned.cell
    home.check()
    say(f"{study.grid.name}: {planned.name}, cell {cell.id}, preset {study.preset}")
    home.check_result(cell.id)
    if home.record(cell.id) is not None:
        say("the cell is already finished")
    refuse_unusable([cell.settings])
    labels.refuse_unwritable([cell.settings], say)
    for need, store, requests, missing in (*study.samples(), *study.duals()):
        if missing and _reads(cell, need):
            _draw(study, need, store, requests or missing, missing)
    with _threads(study.grid.resources.cell_threads):
        record = run_cell(cell, planned.name, home, _Reports(), study.grid.resources.keep_students)
    accuracy = ", ".join(f"{split} {value:.1f}%" for split, value in record.accuracy.items())
    say(f"{record.status}: {accuracy}" if accuracy else f"{record.status}: {record.message}")
    return record


@contextmanager
def _threads(number: int) -> Iterator[None]:
    """Context with as many threads as a cell of a running grid has, on which its figures depend."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _reads(cell: ResolvedCell, need: SampleNeed) -> bool:
    same_teacher = (need.task, need.teacher) == (cell.settings.task, cell.settings.teacher)
    return same_teacher and cell.samples > 0 and (cell.asks_for_duals or not need.duals)


def _draw(
    study: Study, need: SampleNeed, store: SampleStore, requests: list[Request], missing: list[Request]
) -> None:
    engine, teacher = ENGINES[need.teacher.engine], need.teacher
    if not isinstance(engine, LocalEngine):
        raise DataError(
            f"{len(missing)} of {len(requests)} samples of {teacher.name} are missing, and engine "
            f"{teacher.engine} needs Ray: `qcrd sample GRID` draws them, here or on a machine that shares "
            "QCRD_HOME or QCRD_STORE"
        )
    job = Job(requests, missing, study.grid.resources, say)
    with engine.open(teacher, task_data(need.task).task.stop, job) as sample:
        draw_need(need, store, requests, sample, study.home)


class _Reports:
    """Prints the progress of a training every few seconds."""

    def __init__(self) -> None:
        self._last = 0.0

    def __call__(self, progress: Progress) -> None:
        now = time.monotonic()
        if now - self._last < REPORT_SECONDS and progress.step < progress.steps:
            return
        self._last = now
        validation = progress.accuracy.get("validation")
        validation_text = "" if validation is None else f", validation {validation:.1f}%"
        say(f"step {progress.step}/{progress.steps}, loss {progress.loss:.3f}{validation_text}")
