"""Batch order, and seeds for all random streams."""

from __future__ import annotations

import hashlib


def epoch_order(questions: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch: a permutation of the questions that depends only on the seed and the epoch.

    The last batch is filled from the front of the permutation, so that every batch has `batch` questions, or
    all of them if there are fewer.

    Returns:
        Lists of 0-based question indices.
    """
    import torch  # imported here so that `derive` does not need torch

    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order = torch.randperm(questions, generator=generator).tolist()
    size = min(batch, questions)
    short = -len(order) % size
    order += order[:short]
    return [order[i : i + size] for i in range(0, len(order), size)]


def derive(seed: int, *what: str | int) -> int:
    """Derive a 63-bit seed for one purpose, so that no two purposes share a random stream.

    Purposes in use: order, init, dropout, selfplay, scheme, selection, discriminator, augment, held out,
    weights, judging, explain.
    """
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
