"""Token sequences as tensors, and the order in which questions come."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor


def pad(rows: Sequence[Sequence[int]], pad_id: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Ids [R, T] and mask [R, T] (True at real tokens), T being the longest row's length."""
    lengths = torch.tensor([len(row) for row in rows])
    width = int(lengths.max())
    mask = torch.arange(width) < lengths[:, None]
    ids = torch.full((len(rows), width), pad_id)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return ids.to(device, non_blocking=True), mask.to(device, non_blocking=True)


def epoch_order(questions: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: a permutation that depends on the seed and the epoch alone.

    The last batch is filled up from the front of the permutation, so that every step sees `batch`
    questions (fewer only where there are fewer in all).
    """
    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order = torch.randperm(questions, generator=generator).tolist()
    size = min(batch, questions)
    short = -len(order) % size
    order += order[:short]
    return [order[i : i + size] for i in range(0, len(order), size)]


def derive(seed: int, *what: str | int) -> int:
    """A 63-bit seed for one purpose, so that purposes never share a stream.

    Purposes in use: order, init, dropout, selfplay, scheme, discriminator, augment.
    """
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
