"""Self-play: the student's past as a source of negatives (section 3.2.2, appendix A.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qcrd.config import SelfPlay
from qcrd.seeds import derive
from qcrd.student.base import Student
from qcrd.student.weights import Weights

Tokens = list[int]


class Snapshots:
    """The weights at the start of each of the last iterations.

    Iteration 0 is the initial student. Before iteration `lag` the oldest snapshot serves.
    """

    def __init__(self, lag: int):
        """Keep what `before` may ask for; lag 0 keeps nothing."""
        self.lag = lag
        self.kept: dict[int, Weights] = {}

    def take(self, iteration: int, student: Student) -> None:
        """Record the weights at the start of `iteration`, and drop what no later one will need."""
        if not self.lag:
            return
        self.kept[iteration] = student.weights()
        self.kept = {i: state for i, state in self.kept.items() if i >= iteration - self.lag}

    def before(self, iteration: int) -> Weights:
        """Weights of `lag` iterations before `iteration`, or the oldest there are."""
        return self.kept[max(iteration - self.lag, 0)]


def self_play(
    player: Student,
    inputs: Sequence[Sequence[int]],
    settings: SelfPlay,
    limit: int,
    seed: int,
    iteration: int,
) -> list[list[Tokens]]:
    """k rationales per question from a past student, in large batches since it is fixed for an iteration.

    Args:
        player: a student that carries the snapshot's weights (see `Student.carrying`).
        inputs: the questions' `explain: ` tokens.
        settings: k, and how tokens are drawn; at temperature 0 all k are the same and one is drawn.
        limit: most tokens per rationale, end of sequence included.
        seed: the cell's seed.
        iteration: the running iteration; each draws afresh.

    Returns:
        For each question its rationales with their end-of-sequence token; empty ones are left out.
    """
    k, tau = settings.k, settings.tau
    draws = k if tau > 0 else min(k, 1)
    generator = torch.Generator(player.device).manual_seed(derive(seed, "selfplay", iteration))
    found = player.generate(
        inputs, limit - 1, tau, generator, draws, top_k=settings.top_k, top_p=settings.top_p
    )
    rows = [found[i * draws : (i + 1) * draws] for i in range(len(inputs))]
    repeat = k // draws if draws else 0
    return [[[*r, player.eos_id] for r in group if r] * repeat for group in rows]


def ended(rationale: Tokens, limit: int) -> bool:
    """Whether the student ended a rationale of `self_play` itself; the others were cut at `limit`."""
    return len(rationale) < limit
