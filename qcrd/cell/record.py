"""What surrounds a cell's training, whatever trains it: one process at a time, a journal, the record last."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import OutOfMemory, StoreError
from qcrd.storage.files import write_json, write_sealed
from qcrd.storage.home import PREDICTIONS, RECORD, Home, checksum
from qcrd.storage.journal import FILE, Journal
from qcrd.training import checkpoint
from qcrd.training.trainer import WEIGHTS
from qcrd.types import CellRecord

ERROR = "error.txt"  # trace of an attempt that failed


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a cell's training."""

    status: Literal["done", "diverged"]
    step: int  # the last
    accuracy: dict[str, float]  # percent, as in `CellRecord`
    chosen_step: int
    seconds: float  # over all attempts
    statistics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    message: str = ""
    peak_bytes: int | None = None


Work = Callable[[Path, Journal], Outcome]
"""Trains a cell in its folder, going on from what an earlier attempt left there."""


def record_once(cell: ResolvedCell, name: str, home: Home, work: Work) -> CellRecord:
    """The cell's record; where there is none, do its work and write it.

    A lease on the cell's folder makes a second process wait and then find the work done. A holder that was
    thought dead and was not is refused at its next line in the journal.

    Args:
        cell: whose id names the folder.
        name: for people.
        home: where its folder is.
        work: what is to be done.

    Raises:
        OutOfMemory: where `work` ran out of memory, of the GPU or of the machine.
        Exception: whatever else `work` raises; all of it is written down first.
    """
    folder = home.cell(cell.id)
    folder.mkdir(parents=True, exist_ok=True)
    with home.lock_cell(folder.name) as lock:
        record = home.record(folder.name)
        if record is not None:
            return record
        for leftover in folder.glob(".*.tmp"):  # of a killed holder
            leftover.unlink()
        settings = cell.settings.model_dump(mode="json")
        write_json(folder / "cell.json", {"name": name, "identity": cell.identity, "settings": settings})
        with Journal(folder / FILE, lock.check) as journal:
            try:
                outcome = work(folder, journal)
            except Exception as trouble:
                error = _worded(trouble)
                with suppress(OSError, StoreError):  # a full disk must not hide what filled it
                    journal.status("failed", f"{type(error).__name__}: {error}")
                    (folder / ERROR).write_text(traceback.format_exc())
                if error is trouble:
                    raise
                raise error from trouble
            _end(journal, outcome)
            record = _record(folder, name, cell.identity, settings, outcome)
            write_sealed(folder / RECORD, asdict(record))
        lock.push()
        # Only now: killed before the record, the cell goes on from its checkpoint and needs both again.
        checkpoint.clear(folder)
        (folder / WEIGHTS).unlink(missing_ok=True)
        (folder / ERROR).unlink(missing_ok=True)  # of an earlier attempt
        return record


def _worded(error: Exception) -> Exception:
    """The error, or for one that says too little what to do about it."""
    if isinstance(error, torch.OutOfMemoryError):
        return OutOfMemory(
            f"out of GPU memory ({str(error).partition('. ')[0]}); lower training.batch, selfplay.k, "
            "student.max_input or discriminator.max_tokens, set student.precision: bf16, or raise "
            "resources.cell_gpus so that fewer cells share a GPU"
        )
    if isinstance(error, MemoryError) or "can't allocate memory" in str(error):
        return OutOfMemory(
            f"out of memory ({str(error).splitlines()[0] if str(error) else 'MemoryError'}); lower "
            "training.batch or discriminator.max_tokens, or resources.concurrent_cells so that fewer cells "
            "share a machine"
        )
    return error


def _end(journal: Journal, outcome: Outcome) -> None:
    """The journal's last events, on disk when this returns."""
    journal.artifact("cell.json")
    journal.params(**outcome.versions)
    figures = {f"final/{k}": v for k, v in outcome.accuracy.items()} if outcome.status == "done" else {}
    figures |= {"final/chosen_step": outcome.chosen_step, "time/seconds": outcome.seconds}
    if outcome.peak_bytes is not None:
        figures["memory/peak_bytes"] = outcome.peak_bytes
    journal.metrics(outcome.step, **figures)
    journal.status(outcome.status, outcome.message)
    journal.sync()


def _record(
    folder: Path, name: str, identity: dict[str, Any], settings: dict[str, Any], outcome: Outcome
) -> CellRecord:
    return CellRecord(
        id=folder.name,
        name=name,
        status=outcome.status,
        identity=identity,
        settings=settings,
        accuracy=outcome.accuracy,
        chosen_step=outcome.chosen_step,
        seconds=outcome.seconds,
        statistics=outcome.statistics,
        versions=outcome.versions,
        message=outcome.message,
        predictions_sha256=checksum(folder / PREDICTIONS) if outcome.status == "done" else "",
        peak_bytes=outcome.peak_bytes,
    )
