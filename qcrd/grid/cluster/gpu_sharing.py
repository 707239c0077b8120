"""Determines how many cells share a GPU, from the peak memory of the largest cells in their first steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.grid.cluster.engines import Say, result_of
from qcrd.plugins import carried
from qcrd.quick_imports import quick_model_imports
from qcrd.storage.home import Home

QUESTIONS = 256  # seen in the first steps, and decoded at once in self-play and evaluation
CUDA_CONTEXT = 600 * 2**20  # bytes that CUDA reserves in each process, not counted by torch
SAFETY_MARGIN = 0.1  # share of a GPU's memory, for longer texts than in the first steps
MAX_CELLS_PER_GPU = 16  # however small they are


@dataclass(frozen=True, slots=True)
class Peak:
    """Peak memory of a cell in its first steps."""

    bytes: int
    total: int | None  # memory of the GPU; None without a GPU


def gpu_share(peak: int, total: int) -> float:
    """Share of a GPU for one cell: 1/n for the largest n that fits, 1 if not even one cell fits.

    Args:
        peak: peak memory of the cell in bytes.
        total: memory of the GPU in bytes.
    """
    cells = int((1 - SAFETY_MARGIN) * total // (peak + CUDA_CONTEXT))
    return 1 / min(max(cells, 1), MAX_CELLS_PER_GPU)


def largest_of_each_kind(cells: Sequence[ResolvedCell]) -> list[ResolvedCell]:
    """Of cells that differ only in the number of rationales, as far as memory is concerned, the largest."""
    by_kind: dict[tuple[Any, ...], ResolvedCell] = {}
    for cell in cells:
        settings = cell.settings
        kind = (
            settings.method,
            settings.task.name,
            settings.training.batch,
            settings.student,
            (settings.contrastive.scheme, settings.discriminator) if cell.method.contrasts else None,
        )
        by_kind[kind] = max(by_kind.get(kind, cell), cell, key=_sequences)
    return list(by_kind.values())


def measure_peak(settings: Cell, home: Home) -> Peak:
    """Train and evaluate a cell for a few steps in this process, then delete its files.

    Returns:
        Its peak memory.
    """
    with quick_model_imports():
        import torch

        from qcrd.cell.run import run_cell

    steps = max(1, QUESTIONS // settings.training.batch)
    shortened = {"steps": steps, "iteration": steps, "evaluate_every": steps, "warmup": 0}
    training = settings.training.model_copy(update=shortened)
    short = resolve(settings.model_copy(update={"training": training}))
    folder = home.cell(short.id)
    record = home.record(folder.name)  # an actual cell with exactly these settings
    if record is None:
        try:
            record = run_cell(short, "probe", home, keep_student=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    cuda = torch.cuda.is_available()
    return Peak(record.peak_bytes or 0, torch.cuda.mem_get_info()[1] if cuda else None)


def measured_share(cells: Sequence[ResolvedCell], home: Home, cpus: float, say: Say) -> float | None:
    """Share of a GPU that is enough for every cell; None if it cannot be measured.

    Args:
        cells: cells to train, whose samples and discriminators exist.
        home: the home that has them.
        cpus: CPUs per cell.
        say: prints a line to the user.
    """
    shares = []
    task = ray.remote(num_cpus=cpus, num_gpus=1, max_calls=1)(
        carried(measure_peak)
    )  # the process ends and frees its memory
    for cell in largest_of_each_kind(cells):
        try:
            peak = result_of(task.remote(cell.settings, home))
        except (QcrdError, RayError) as error:
            say(f"cell_gpus: a trial failed: {str(error).strip().splitlines()[-1]}")
            return None
        if peak.total is None:
            say("cell_gpus: torch sees no GPU on the node where Ray assigned one")
            return None
        shares.append(gpu_share(peak.bytes, peak.total))
        say(
            f"cell_gpus: {cell.method.name} on {cell.settings.task.name} took {peak.bytes / 2**30:.1f} of "
            f"{peak.total / 2**30:.0f} GiB, so {round(1 / shares[-1])} share a GPU"
        )
    return max(shares)


def _sequences(cell: ResolvedCell) -> int:
    return cell.settings.rationales.m + cell.settings.selfplay.k
