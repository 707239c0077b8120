"""The order in which questions come, and the seeds of all that is random."""

from __future__ import annotations

import hashlib


def epoch_order(questions: int, batch: int, seed: int, epoch: int) -> list[list[int]]:
    """The batches of one epoch: a permutation that depends on the seed and the epoch alone.

    The last batch is filled up from the front of the permutation, so that every step sees `batch`
    questions (fewer only where there are fewer in all).
    """
    import torch  # here, so that deriving a seed does not wait for it

    generator = torch.Generator().manual_seed(derive(seed, "order", epoch))
    order = torch.randperm(questions, generator=generator).tolist()
    size = min(batch, questions)
    short = -len(order) % size
    order += order[:short]
    return [order[i : i + size] for i in range(0, len(order), size)]


def derive(seed: int, *what: str | int) -> int:
    """A 63-bit seed for one purpose, so that purposes never share a stream.

    Purposes in use: order, init, dropout, selfplay, scheme, selection, discriminator, augment, held out,
    weights, judging, explain.
    """
    text = "/".join(map(str, (seed, *what)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
