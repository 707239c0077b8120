"""Pretrains the discriminators that a grid's cells share, side by side."""

from __future__ import annotations

from collections.abc import Sequence

import ray
from ray.exceptions import RayError

from qcrd.cell.discriminator import discriminator_bytes, ensure_discriminator
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.grid.cluster.capacity import gpu_bytes
from qcrd.grid.cluster.engines import Say, result_of
from qcrd.grid.cluster.gpu_sharing import gpu_share
from qcrd.plugins import carried
from qcrd.storage.home import Home


def _pretrain(settings: Cell, home: Home, threads: int) -> str:
    import torch

    torch.set_num_threads(threads)
    return str(ensure_discriminator(resolve(settings), home))


def share_of_gpu(cells: Sequence[ResolvedCell], gpus: float, total: int | None) -> float:
    """Share of a GPU for one pretraining: a cell's, or more where that has not the memory.

    Args:
        cells: whose discriminators are to be pretrained.
        gpus: share of a cell; 0 without GPUs.
        total: bytes of a GPU, None where that is not known.
    """
    if not gpus or not total:
        return gpus
    sizes = [size for cell in cells if (size := discriminator_bytes(cell))]
    return max([gpus, *(gpu_share(size, total) for size in sizes)])


def pretrain_discriminators(
    cells: Sequence[ResolvedCell], home: Home, cpus: float, gpus: float, say: Say
) -> None:
    """Pretrain the discriminator of each cell, side by side.

    One that fails is said and left; the cells that need it will fail with its reason, and no others.
    """
    gpus = share_of_gpu(cells, gpus, gpu_bytes() if gpus else None)
    task = ray.remote(carried(_pretrain)).options(num_cpus=cpus, num_gpus=gpus, max_retries=2)
    waiting = [task.remote(cell.settings, home, max(1, int(cpus))) for cell in cells]
    say(f"discriminators: {len(cells)} to pretrain")
    while waiting:
        done, waiting = ray.wait(waiting)
        try:
            result_of(done[0])
        except (QcrdError, RayError) as error:
            say(f"discriminators: one failed: {str(error).strip().splitlines()[-1]}")
        say(f"discriminators: {len(cells) - len(waiting)} of {len(cells)} done")
