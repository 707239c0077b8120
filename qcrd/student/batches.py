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


def length_groups(lengths: Sequence[int], saving: float = 0.2) -> list[list[int]]:
    """Row numbers in one group, or in a short and a long one where that saves padding.

    Args:
        lengths: of the rows.
        saving: least share of all cells (rows times longest) that a second group must save, because a
            second pass has a price of its own.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    if len(order) < 2:
        return [order]
    rows, longest = len(order), lengths[order[-1]]
    saved, cut = max(((longest - lengths[order[i - 1]]) * i, i) for i in range(1, rows))
    return [order[:cut], order[cut:]] if saved > saving * rows * longest else [order]


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

    Purposes in use: order, init, dropout, selfplay, scheme, discriminator, augment, judging, explain.
    """
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
