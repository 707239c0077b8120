"""What must hold of a grid once it is through, whatever happened to it meanwhile."""

from __future__ import annotations

import random
import shutil
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from qcrd.cell.run import run_cell
from qcrd.doctor.remains import AGE, walked
from qcrd.faults.harm import belonging
from qcrd.grid.plan.study import Study
from qcrd.grid.run.mlflow_runs import sources
from qcrd.samples.shards import DAMAGED
from qcrd.storage.home import PREDICTIONS, Home
from qcrd.tracking.mlflow.audit import differences

RESULTS = (PREDICTIONS, "student/model.safetensors")  # of a cell: what must be equal byte for byte
ENDED = 20.0  # seconds that Ray's processes get to end


def equal(cell_id: str, first: Home, second: Home) -> bool:
    """Whether a cell ended with the same weights and predictions in both homes."""
    return all(
        (first.cell(cell_id) / file).read_bytes() == (second.cell(cell_id) / file).read_bytes()
        for file in RESULTS
    )


def faults(study: Study, tracking: str, sessions: Path, again: int, draw: random.Random) -> list[str]:
    """All that does not hold, a line each.

    Args:
        study: that has been worked off.
        tracking: address of its MLflow, which has been sent everything.
        sessions: folder of its Rays' sessions.
        again: how many cells are trained once more, undisturbed, to compare weights and predictions.
        draw: which.
    """
    return [
        *_cells(study),
        *differences(tracking, study.grid.name, sources(study)[1]),
        *_otherwise(study, draw.sample(range(len(study.cells)), again)),
        *_left(study, sessions),
    ]


def _cells(study: Study) -> Iterator[str]:
    for planned, state in zip(study.cells, study.states(), strict=True):
        if state != "done":
            yield f"{planned.name}: {state}"
    there = {folder.name for folder in (study.home.root / "cells").iterdir()}
    if there != set(study.ids):
        yield f"{len(there)} folders of cells for {len(study.ids)} cells"


def _otherwise(study: Study, chosen: Sequence[int]) -> Iterator[str]:
    """Cells that end otherwise where nothing disturbs them: in this process, in one thread as a cell has."""
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
                    yield f"{planned.name}: other weights or predictions than undisturbed"
    finally:
        torch.set_num_threads(threads)


def _left(study: Study, sessions: Path) -> Iterator[str]:
    """Processes, sockets, leases and temporary files."""
    patience = time.monotonic() + ENDED
    while (left := belonging(study.home)) and time.monotonic() < patience:
        time.sleep(0.5)
    yield from (f"process left: {process.pid} {process.name()}" for process in left)
    for path in sessions.rglob("*"):
        if path.is_socket():
            yield f"socket left: {path}"
    for path in study.home.root.rglob("lease/*"):
        if path.suffix != ".free":
            yield f"lease left: {path}"
    for path in walked(study.home, time.time() + 2 * AGE).leftovers:
        if path.suffix != DAMAGED:  # put aside on purpose: `qcrd samples verify` shows them
            yield f"left: {path}"
