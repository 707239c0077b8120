"""Pretrains the discriminators that a grid's cells share, in parallel."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

import ray
from ray.exceptions import RayError

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.grid.cluster.capacity import gpu_bytes
from qcrd.grid.cluster.engines import Say, result_of
from qcrd.grid.cluster.gpu_sharing import gpu_share
from qcrd.grid.console import bar, duration, status
from qcrd.plugins import carried
from qcrd.quick_imports import quick_model_imports
from qcrd.storage.home import Home


def _pretrain(settings: Cell, home: Home, threads: int) -> str:
    with quick_model_imports():
        import torch

        from qcrd.cell.discriminator import ensure_discriminator

    torch.set_num_threads(threads)
    return str(ensure_discriminator(resolve(settings), home))


def waiting_for_discriminators(cells: Sequence[ResolvedCell], home: Home, gpus: float) -> list[ResolvedCell]:
    """A cell for each discriminator that is to be pretrained before the cells start.

    Otherwise the cells that share one would wait for it, each with a worker of its own. A discriminator that
    a single cell needs is pretrained by that cell, whose worker has to load the libraries anyway; not on a
    GPU, of which it may need more than a cell has.

    Args:
        cells: cells to train.
        home: home of the discriminators.
        gpus: share of a GPU of a cell; 0 without GPUs.
    """
    needed = [cell for cell in cells if cell.discriminator_id]
    users = Counter(cell.discriminator_id for cell in needed)
    return [
        cell
        for discriminator_id, cell in {cell.discriminator_id: cell for cell in reversed(needed)}.items()
        if (gpus or users[discriminator_id] > 1)
        and not (home.discriminators / f"{discriminator_id}.safetensors").exists()
    ][::-1]


def share_of_gpu(cells: Sequence[ResolvedCell], gpus: float, total: int | None) -> float:
    """Share of a GPU for pretraining one discriminator: a cell's share, or more if memory requires it.

    Args:
        cells: cells whose discriminators are pretrained.
        gpus: share of a cell; 0 without GPUs.
        total: memory of a GPU in bytes; None if unknown.
    """
    if not gpus or not total:
        return gpus
    from qcrd.cell.discriminator import discriminator_bytes  # imports torch and transformers

    sizes = [size for cell in cells if (size := discriminator_bytes(cell))]
    return max([gpus, *(gpu_share(size, total) for size in sizes)])


def pretrain_discriminators(
    cells: Sequence[ResolvedCell], home: Home, cpus: float, gpus: float, say: Say
) -> None:
    """Pretrain the discriminator of each cell, in parallel.

    Failures are printed; only the cells that need a failed discriminator fail later, with the same reason.

    Args:
        cells: a cell per discriminator.
        home: home for the discriminators.
        cpus: CPUs per pretraining.
        gpus: share of a GPU of a cell; 0 without GPUs.
        say: prints a line to the user.
    """
    gpus = share_of_gpu(cells, gpus, gpu_bytes() if gpus else None)
    task = ray.remote(carried(_pretrain)).options(num_cpus=cpus, num_gpus=gpus, max_retries=2)
    waiting = [task.remote(cell.settings, home, max(1, int(cpus))) for cell in cells]
    say(f"discriminators: {len(cells)} to pretrain")
    begun = time.monotonic()

    def lines() -> list[str]:
        done, elapsed = len(cells) - len(waiting), duration(time.monotonic() - begun)
        return [f"discriminators: {bar(done, len(cells), f'{done} of {len(cells)} done')}, {elapsed} so far"]

    with status(lines):
        while waiting:
            finished, waiting = ray.wait(waiting)
            try:
                result_of(finished[0])
            except (QcrdError, RayError) as error:
                say(f"discriminators: one failed: {str(error).strip().splitlines()[-1]}")
            say(f"discriminators: {len(cells) - len(waiting)} of {len(cells)} done")
