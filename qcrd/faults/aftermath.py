"""Checks of a finished grid after injected faults: results, MLflow, reproducibility and leftovers."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from qcrd.cell.run import run_cell
from qcrd.doctor.remains import AGE, scan
from qcrd.faults.harm import belonging
from qcrd.grid.plan.study import Study
from qcrd.grid.run.mlflow_runs import sources
from qcrd.samples.shards import DAMAGED
from qcrd.storage.home import PREDICTIONS, Home
from qcrd.tracking.mlflow.audit import differences

RESULTS = (PREDICTIONS, "student/model.safetensors")  # files of a cell that must be identical
ENDED = 20.0  # seconds to wait for Ray's processes to end


def equal(cell_id: str, first: Home, second: Home) -> bool:
    """Whether a cell's weights and predictions are byte-identical in both homes."""
    return all(
        (first.cell(cell_id) / file).read_bytes() == (second.cell(cell_id) / file).read_bytes()
        for file in RESULTS
    )


def faults(study: Study, tracking: str, sessions: Path, again: int, draw: random.Random) -> list[str]:
    """Check a finished grid; returns one line per violation.

    Args:
        study: the finished grid.
        tracking: address of its MLflow server, after `qcrd sync`.
        sessions: folder of Ray's sessions.
        again: number of cells to retrain without faults, to compare weights and predictions.
        draw: random generator that selects these cells.
    """
    return [
        *_cells(study),
        *differences(tracking, study.grid.name, sources(study)[1]),
        *_not_reproduced(study, draw.sample(range(len(study.cells)), again)),
        *_left_behind(study, sessions),
    ]


def _cells(study: Study) -> Iterator[str]:
    for planned, state in zip(study.cells, study.states(), strict=True):
        if state != "done":
            yield f"{planned.name}: {state}"
    folders = {folder.name for folder in (study.home.root / "cells").iterdir()}
    if folders != set(study.ids):
        yield f"{len(folders)} folders of cells for {len(study.ids)} cells"


def _not_reproduced(study: Study, chosen: Sequence[int]) -> Iterator[str]:
    """Retrain cells without faults, in this process and with one thread, and report differing results."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with TemporaryDirectory() as folder:
            alone = Home(Path(folder))
            shutil.copytree(study.home.samples, alone.samples)
            for number in chosen:
                planned = study.cells[number]
                run_cell(planned.cell, planned.name, alone)
                if not equal(study.ids[number], study.home, alone):
                    yield f"{planned.name}: weights or predictions differ from a run without faults"
    finally:
        torch.set_num_threads(threads)


def _left_behind(study: Study, sessions: Path) -> Iterator[str]:
    """Report processes, sockets, leases and temporary files that are left."""
    deadline = time.monotonic() + ENDED
    while (left := belonging(study.home)) and time.monotonic() < deadline:
        time.sleep(0.5)
    yield from (f"process left: {process.pid} {process.name()}" for process in left)
    for path in sessions.rglob("*"):
        if path.is_socket():
            yield f"socket left: {path}"
    for path in study.home.root.rglob("lease/*"):
        if path.suffix != ".free":
            yield f"lease left: {path}"
    for path in scan(study.home, time.time() + 2 * AGE).leftovers:
        if path.suffix != DAMAGED:  # kept on purpose: `qcrd samples verify` lists them
            yield f"left: {path}"
