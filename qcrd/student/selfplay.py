"""Self-play: the student's past as a source of negatives (section 3.2.2, appendix A.1)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from qcrd.student.batches import derive
from qcrd.student.model import Student

State = dict[str, Tensor]


def parameters(student: Student) -> State:
    """A copy of the student's weights on the CPU; weights shared between layers appear once."""
    return {name: p.detach().to("cpu", copy=True) for name, p in student.named_parameters()}


@torch.no_grad()
def set_parameters(student: Student, state: State) -> None:
    """Write weights taken by `parameters` into a student of the same shape."""
    own = dict(student.named_parameters())
    if own.keys() != state.keys():
        raise ValueError(f"weights of another model: {sorted(own.keys() ^ state.keys())[:4]} differ")
    for name, p in own.items():
        p.copy_(state[name])


class Snapshots:
    """The weights at the start of each of the last iterations.

    Iteration 0 is the initial student. Before iteration `lag` the oldest snapshot serves.
    """

    def __init__(self, lag: int):
        """Keep what `before` may ask for; lag 0 keeps nothing."""
        self.lag = lag
        self.kept: dict[int, State] = {}

    def take(self, iteration: int, student: Student) -> None:
        """Record the weights at the start of `iteration`, and drop what no later one will need."""
        if not self.lag:
            return
        self.kept[iteration] = parameters(student)
        self.kept = {i: state for i, state in self.kept.items() if i >= iteration - self.lag}

    def before(self, iteration: int) -> State:
        """Weights of `lag` iterations before `iteration`, or the oldest there are."""
        return self.kept[max(iteration - self.lag, 0)]


def self_play(
    player: Student,
    inputs: Sequence[Sequence[int]],
    k: int,
    tau: float,
    limit: int,
    seed: int,
    iteration: int,
) -> list[list[list[int]]]:
    """k rationales per question from a past student, in large batches since it is fixed for an iteration.

    Args:
        player: a student that carries the snapshot's weights.
        inputs: the questions' `explain: ` tokens.
        k: rationales per question.
        tau: sampling temperature; 0 is greedy, where all k are the same and one is drawn.
        limit: most tokens per rationale, end of sequence included.
        seed: the cell's seed.
        iteration: the running iteration; each draws afresh.

    Returns:
        For each question its rationales with their end-of-sequence token; empty ones are left out.
    """
    draws = k if tau > 0 else min(k, 1)
    generator = torch.Generator(player.device).manual_seed(derive(seed, "selfplay", iteration))
    flat = [row for row in inputs for _ in range(draws)]
    found = player.generate(flat, limit - 1, temperature=tau, generator=generator)
    rows = [found[i * draws : (i + 1) * draws] for i in range(len(inputs))]
    repeat = k // draws if draws else 0
    return [[[*r, player.eos_id] for r in group if r] * repeat for group in rows]
