"""How long a grid will take on this machine: from what its home has measured, else roughly."""

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

# Trials of the embedded preset on a virtual machine of two cores without a GPU, both at work.
ROUGH_SECONDS = {
    "finetuning": 35.0,
    "single_task": 75.0,
    "dss": 60.0,
    "qcrd": 90.0,
    "morsd": 120.0,
    "edit": 95.0,
}  # one core, and
ROUGH_STEPS = 300
SAMPLES_PER_SECOND = 240.0  # of the embedded teacher, by vLLM


@dataclass(frozen=True, slots=True)
class Estimate:
    """What is left to do, in time."""

    seconds: float | None  # None where nothing like these cells was measured
    basis: str  # for people: what it is of, where it is from, what it leaves out
    cpu_hours: float | None = None  # of the cells' shares, without the teacher's
    gpu_hours: float | None = None


def estimate(
    todo: Sequence[Cell], needs: Sequence[tuple[SampleNeed, str, int]], home: Home, resources: Resources
) -> Estimate:
    """Time for sampling and then training, cells side by side as far as this machine has room.

    Args:
        todo: cells that are not finished.
        needs: what is asked of a teacher, with the key of its sampler and how many samples are missing.
        home: whose finished cells and sampling are taken as the measure, by step and by sample.
        resources: of the grid.
    """
    known = _measured(todo, home)
    here = [known.get(_kind(cell)) for cell in todo]
    each = [
        _rough(cell) if found is None else found * cell.training.steps
        for cell, found in zip(todo, here, strict=True)
    ]
    side = min(side_by_side(resources), max(len(todo), 1))
    sampling, without = 0.0, []
    for need, sampler, missing in needs:
        engine = ENGINES[need.teacher.engine]
        if missing and engine.draws:
            rough = SAMPLES_PER_SECOND if need.teacher.embedded else None
            rate = (read_json(home.rate(sampler)) or {}).get("samples_per_second") or rough
            sampling += missing / rate if rate else 0.0
            without += [] if rate else [f"sampling {need.teacher.model}"]
            without += ["training the embedded teacher"] * need.teacher.embedded
            without += [f"starting {engine.name}"] * isinstance(engine, ActorEngine)

    parts = [f"{side} cells side by side" if side > 1 else "one cell after the other"]
    parts.append("as measured here" if None not in here else "rough, from trials on two cores")
    parts += [f"without {', '.join(dict.fromkeys(without))}"] if without else []
    seconds = [value for value in each if value is not None]
    if len(seconds) < len(each):
        return Estimate(None, "how long is known once one of each method has been trained here")
    # No order of the cells can beat these two bounds.
    training = max(sum(seconds) / side, max(seconds, default=0.0))
    gpus = _gpu_share(resources)
    hours = sum(seconds) / 3600
    return Estimate(training + sampling, "; ".join(parts), hours * resources.cell_cpus, hours * gpus)


def side_by_side(resources: Resources) -> int:
    """Cells that run at once on this machine, at least 1."""
    own = getattr(os, "sched_getaffinity", None)  # Linux alone tells which cores are ours
    cpus, gpus = len(own(0)) if own else os.cpu_count() or 1, gpu_count()
    fit = cpus / resources.cell_cpus
    share = _gpu_share(resources)
    if gpus and share:
        fit = min(fit, gpus / share)
    return max(1, int(min(fit, resources.concurrent_cells or fit)))


def _gpu_share(resources: Resources) -> float:
    said = resources.cell_gpus
    return default_share(gpu_count()) if said is None or said == "auto" else said


def _kind(cell: Cell) -> tuple:
    """Equal for cells that take about the same time for a step."""
    student = cell.student
    shape = (student.checkpoint, student.tokenizer, student.architecture.model_dump_json())
    return (cell.method, cell.task.name, cell.training.batch, student.targets, str(student.adapter), *shape)


def _measured(cells: Sequence[Cell], home: Home) -> dict[tuple, float]:
    """Median seconds per step, evaluation included, of the finished cells of each kind among `cells`."""
    wanted = {_kind(cell) for cell in cells}
    found: dict[tuple, list[float]] = {}
    for path in (home.root / "cells").glob(f"*/{RECORD}") if wanted else ():
        record = read_json(path)
        if record is None or record["status"] != "done":
            continue
        try:
            done = Cell.model_validate(record["settings"])
        except ValueError:  # written by another version, so no measure for this one
            continue
        if (kind := _kind(done)) in wanted:
            found.setdefault(kind, []).append(record["seconds"] / done.training.steps)
    return {kind: median(values) for kind, values in found.items()}


def _rough(cell: Cell) -> float | None:
    student, task = cell.student, cell.task.name
    like = Architecture.model_validate(EMBEDDED["student"]["architecture"]) == student.architecture
    if task != EMBEDDED["task"]["name"] or student.checkpoint or student.tokenizer or not like:
        return None
    whole = ROUGH_SECONDS.get(cell.method)
    return None if whole is None else whole * cell.training.steps / ROUGH_STEPS
