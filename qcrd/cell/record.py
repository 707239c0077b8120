"""Runs a cell's work under a lock, with a journal, and writes the cell's record at the end."""

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
from qcrd.storage.home import ERROR, PREDICTIONS, RECORD, Home, checksum
from qcrd.storage.journal import FILE, Journal
from qcrd.training import checkpoint
from qcrd.training.trainer import WEIGHTS
from qcrd.types import CellRecord


@dataclass(frozen=True, slots=True)
class Outcome:
    """Result of a cell's training."""

    status: Literal["done", "diverged"]
    step: int  # last step
    accuracy: dict[str, float]  # percent, as in `CellRecord`
    chosen_step: int
    seconds: float  # over all attempts
    statistics: dict[str, float] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    message: str = ""
    peak_bytes: int | None = None


Work = Callable[[Path, Journal], Outcome]
"""Trains a cell in its folder; resumes from an earlier attempt's checkpoint if there is one."""


def record_once(cell: ResolvedCell, name: str, home: Home, work: Work) -> CellRecord:
    """Return the cell's record; if there is none, do the cell's work and write it.

    A lock on the cell's folder makes a second process wait, then find the work done. If a lock is taken over
    because its holder seemed dead, the holder's next write to the journal fails.

    Args:
        cell: the cell.
        name: name of the cell, for the record.
        home: home with the cell's folder.
        work: trains the cell.

    Raises:
        OutOfMemory: if `work` runs out of GPU or main memory.
        Exception: any other exception of `work`. All exceptions are written to the journal first.
    """
    folder = home.cell(cell.id)
    folder.mkdir(parents=True, exist_ok=True)
    with home.lock_cell(folder.name) as lock:
        record = home.record(folder.name)
        if record is not None:
            return record
        for leftover in folder.glob(".*.tmp"):  # left by a process that was killed
            leftover.unlink()
        settings = cell.settings.model_dump(mode="json")
        write_json(folder / "cell.json", {"name": name, "identity": cell.identity, "settings": settings})
        with Journal(folder / FILE, lock.check) as journal:
            try:
                outcome = work(folder, journal)
            except Exception as cause:
                error = _with_remedy(cause)
                with suppress(OSError, StoreError):  # a full disk must not hide the original error
                    journal.status("failed", f"{type(error).__name__}: {error}")
                    (folder / ERROR).write_text(traceback.format_exc())
                if error is cause:
                    raise
                raise error from cause
            _write_end(journal, outcome)
            record = _record(folder, name, cell.identity, settings, outcome)
            write_sealed(folder / RECORD, asdict(record))
        lock.push()
        # Not before the record is written: until then a killed cell needs both to resume.
        checkpoint.clear(folder)
        (folder / WEIGHTS).unlink(missing_ok=True)
        (folder / ERROR).unlink(missing_ok=True)  # of an earlier attempt
        return record


def _with_remedy(error: Exception) -> Exception:
    """An OutOfMemory that says what to do, for errors of memory; other errors are returned as they are."""
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


def _write_end(journal: Journal, outcome: Outcome) -> None:
    """Write the journal's last events and flush them to disk."""
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
