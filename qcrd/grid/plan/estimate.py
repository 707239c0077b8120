"""Estimates how long a grid takes on this machine, from measured times in its home or built-in ones."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from qcrd.config import Architecture, Cell, Resources
from qcrd.config.presets import EMBEDDED
from qcrd.grid.cluster.shares import default_share
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.grid.plan.gpus import gpu_count
from qcrd.storage.files import read_json
from qcrd.storage.home import RECORD, Home
from qcrd.teacher.engine import ActorEngine
from qcrd.teacher.engines import ENGINES

# Seconds per trial of the embedded preset on one core of a two-core virtual machine, both cores busy.
ROUGH_SECONDS = {
    "finetuning": 35.0,
    "single_task": 75.0,
    "dss": 60.0,
    "qcrd": 90.0,
    "morsd": 120.0,
    "edit": 95.0,
}
ROUGH_STEPS = 300  # of these trials
SAMPLES_PER_SECOND = 240.0  # of the embedded teacher with vLLM


_Kind = tuple[str | int | None, ...]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Estimated time for the unfinished part of a grid."""

    seconds: float | None  # None if no similar cell has been measured
    basis: str  # what the estimate covers, where it comes from, what it leaves out
    cpu_hours: float | None = None  # of the cells, without the teacher
    gpu_hours: float | None = None


def estimate(
    todo: Sequence[Cell], needs: Sequence[tuple[SampleNeed, str, int]], home: Home, resources: Resources
) -> Estimate:
    """Estimate the time for sampling, then training with as many concurrent cells as fit on this machine.

    Args:
        todo: cells that are not finished.
        needs: required samples, each with the key of its sampler and the number of missing samples.
        home: home with measured seconds per step of finished cells and samples per second.
        resources: the grid's resources.
    """
    step_seconds = _measured_step_seconds(todo, home)
    measured = [step_seconds.get(_kind(cell)) for cell in todo]
    cell_seconds = [
        _rough_seconds(cell) if per_step is None else per_step * cell.training.steps
        for cell, per_step in zip(todo, measured, strict=True)
    ]
    concurrent = min(concurrent_cells(resources), max(len(todo), 1))
    sampling, excluded = 0.0, []
    for need, sampler, missing in needs:
        engine = ENGINES[need.teacher.engine]
        if missing and engine.draws:
            rough = SAMPLES_PER_SECOND if need.teacher.embedded else None
            rate = (read_json(home.rate(sampler)) or {}).get("samples_per_second") or rough
            sampling += missing / rate if rate else 0.0
            excluded += [] if rate else [f"sampling {need.teacher.model}"]
            excluded += ["training the embedded teacher"] * need.teacher.embedded
            excluded += [f"starting {engine.name}"] * isinstance(engine, ActorEngine)

    parts = [f"{concurrent} cells at a time" if concurrent > 1 else "one cell at a time"]
    parts.append("as measured here" if None not in measured else "rough, from trials on two cores")
    parts += [f"without {', '.join(dict.fromkeys(excluded))}"] if excluded else []
    seconds = [value for value in cell_seconds if value is not None]
    if len(seconds) < len(cell_seconds):
        return Estimate(None, "no estimate until a cell of each method has been trained here")
    # Lower bounds of the time, whatever the order of the cells.
    training = max(sum(seconds) / concurrent, max(seconds, default=0.0))
    gpus = _gpu_share(resources)
    hours = sum(seconds) / 3600
    return Estimate(training + sampling, "; ".join(parts), hours * resources.cell_cpus, hours * gpus)


def concurrent_cells(resources: Resources) -> int:
    """Number of cells that run at the same time on this machine, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # Linux only: the cores that this process may use
    cpus, gpus = len(affinity(0)) if affinity else os.cpu_count() or 1, gpu_count()
    fit = cpus / resources.cell_cpus
    share = _gpu_share(resources)
    if gpus and share:
        fit = min(fit, gpus / share)
    return max(1, int(min(fit, resources.concurrent_cells or fit)))


def _gpu_share(resources: Resources) -> float:
    share = resources.cell_gpus
    return default_share(gpu_count()) if share is None or share == "auto" else share


def _kind(cell: Cell) -> _Kind:
    """Key of cells with about the same time per step."""
    student = cell.student
    shape = (student.checkpoint, student.tokenizer, student.architecture.model_dump_json())
    return (cell.method, cell.task.name, cell.training.batch, student.targets, str(student.adapter), *shape)


def _measured_step_seconds(cells: Sequence[Cell], home: Home) -> dict[_Kind, float]:
    """Median seconds per step, including evaluation, of finished cells of the kinds in `cells`."""
    kinds = {_kind(cell) for cell in cells}
    step_seconds: dict[_Kind, list[float]] = {}
    for path in (home.root / "cells").glob(f"*/{RECORD}") if kinds else ():
        record = read_json(path)
        if record is None or record["status"] != "done":
            continue
        try:
            done = Cell.model_validate(record["settings"])
        except ValueError:  # written by another version
            continue
        if (kind := _kind(done)) in kinds:
            step_seconds.setdefault(kind, []).append(record["seconds"] / done.training.steps)
    return {kind: median(values) for kind, values in step_seconds.items()}


def _rough_seconds(cell: Cell) -> float | None:
    """Seconds for a cell of the embedded preset, from the built-in trials; None for other cells."""
    student, task = cell.student, cell.task.name
    embedded = Architecture.model_validate(EMBEDDED["student"]["architecture"]) == student.architecture
    if task != EMBEDDED["task"]["name"] or student.checkpoint or student.tokenizer or not embedded:
        return None
    seconds = ROUGH_SECONDS.get(cell.method)
    return None if seconds is None else seconds * cell.training.steps / ROUGH_STEPS
