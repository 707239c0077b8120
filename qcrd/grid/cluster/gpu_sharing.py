"""How many cells share one GPU, from the memory that the largest of them take in their first steps."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass

import ray
from ray.exceptions import RayError

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.cell.run import run_cell
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.grid.cluster.engines import Say, answer
from qcrd.plugins import carried
from qcrd.storage.home import Home

QUESTIONS = 256  # that the first steps see, and that self-play and evaluation write for at once
CONTEXT = 600 * 2**20  # bytes that CUDA takes in each process, which torch does not count
SPARE = 0.1  # of a GPU's memory: what the first steps' lengths did not show
MOST = 16  # cells on one GPU, however small


@dataclass(frozen=True, slots=True)
class Peak:
    """What a cell took in its first steps."""

    bytes: int
    total: int | None  # of the GPU; None where there is none


def share(peak: int, total: int) -> float:
    """Share of a GPU for one cell, 1/n for the largest n that fits; 1 also where not even one does.

    Args:
        peak: bytes that it took at most.
        total: bytes of the GPU.
    """
    fit = int((1 - SPARE) * total // (peak + CONTEXT))
    return 1 / min(max(fit, 1), MOST)


def largest(cells: Sequence[ResolvedCell]) -> list[ResolvedCell]:
    """Of all cells that differ in nothing that takes memory but the number of rationales, the largest."""
    by_kind: dict[tuple, ResolvedCell] = {}
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


def probe(settings: Cell, home: Home) -> Peak:
    """Train and evaluate a cell for a few steps in this process, and leave nothing of it."""
    import torch

    steps = max(1, QUESTIONS // settings.training.batch)
    few = {"steps": steps, "iteration": steps, "evaluate_every": steps, "warmup": 0}
    training = settings.training.model_copy(update=few)
    short = resolve(settings.model_copy(update={"training": training}))
    folder = home.cell(short.id)
    record = home.record(folder.name)  # somebody's own cell, with just these settings
    if record is None:
        try:
            record = run_cell(short, "probe", home, keep_student=False)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    cuda = torch.cuda.is_available()
    return Peak(record.peak_bytes or 0, torch.cuda.mem_get_info()[1] if cuda else None)


def measured_share(cells: Sequence[ResolvedCell], home: Home, cpus: float, say: Say) -> float | None:
    """Share of a GPU that is enough for every cell, or None where it could not be measured.

    Args:
        cells: to be trained; their samples and discriminators are there.
        home: where these are.
        cpus: of one cell.
        say: what a person is told.
    """
    shares = []
    task = ray.remote(num_cpus=cpus, num_gpus=1, max_calls=1)(carried(probe))  # its process gives all back
    for cell in largest(cells):
        try:
            peak = answer(task.remote(cell.settings, home))
        except (QcrdError, RayError) as error:
            say(f"cell_gpus: a first step failed: {str(error).strip().splitlines()[-1]}")
            return None
        if peak.total is None:
            say("cell_gpus: torch sees no GPU on the node that Ray gave one of")
            return None
        shares.append(share(peak.bytes, peak.total))
        say(
            f"cell_gpus: {cell.method.name} on {cell.settings.task.name} took {peak.bytes / 2**30:.1f} of "
            f"{peak.total / 2**30:.0f} GiB, so {round(1 / shares[-1])} share a GPU"
        )
    return max(shares)


def _sequences(cell: ResolvedCell) -> int:
    return cell.settings.rationales.m + cell.settings.selfplay.k
