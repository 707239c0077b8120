"""Rationale Difficulty: how much a rationale helps the student to the right answer (MoRSD)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from qcrd.student.base import Student
from qcrd.tasks.base import Task

Tokens = Sequence[int]

TOKENS = {"cpu": 2**12, "cuda": 2**15}  # that the decoder reads at a time; more leave a CPU's cache
CUE = 32  # most tokens of a cue


@torch.no_grad()
def rationale_difficulty(
    student: Student,
    asked: Sequence[Tokens],
    labels: Sequence[Tokens],
    rationales: Sequence[Sequence[Tokens]],
    cue: Tokens = (),
    alone: Tokens = (),
) -> list[list[float]]:
    """RD(r) = l(y | x, r) - l(y | x) of all rationales of some questions, without dropout.

    The decoder writes r, the cue and y under the question's encoding, and only y's tokens weigh; no end of
    sequence stands between them, as in Single-Task's targets. Below 0 the rationale helps. Each question is
    encoded once, and equal rationales of a question are measured once.

    Args:
        student: that measures.
        asked: each question's prompt. `predict` is what the student answers with y, so that l(y | x) is its
            label loss.
        labels: y of each, with its end-of-sequence token.
        rationales: r of each, with theirs.
        cue: see `answer_cue`.
        alone: what stands before y where there is no rationale: the cue too, for a student that writes
            sequences.

    Returns:
        For each question RD of each of its rationales, in nats per token of y.
    """
    was_training = student.training
    student.eval()
    found: list[list[float]] = [[] for _ in asked]
    distinct = [list(dict.fromkeys(map(tuple, group))) for group in rationales]
    for batch in _batches(labels, distinct, TOKENS[student.device.type]):
        source, targets, weights = [], [], []
        for place, i in enumerate(batch):
            for r in (alone, *((*row[:-1], *cue) for row in distinct[i])):
                source.append(place)
                targets.append([*r, *labels[i]])
                weights.append([0.0] * len(r) + [1.0] * len(labels[i]))
        memory = student.read([asked[i] for i in batch])
        values = iter(student.cross_entropy(memory, source, targets, weights).tolist())
        for i in batch:
            without = next(values)
            known = {row: next(values) - without for row in distinct[i]}
            found[i] = [known[tuple(row)] for row in rationales[i]]
    student.train(was_training)
    return found


def answer_cue(student: Student, task: Task, label: str) -> list[int]:
    """Tokens of what the task's texts say between a rationale and an answer, such as `The answer is`."""
    return student.completions([task.target("", label).rpartition(label)[0].strip()], CUE)[0][:-1]


def _batches(
    labels: Sequence[Tokens], distinct: Sequence[Sequence[tuple[int, ...]]], most: int
) -> Iterator[list[int]]:
    """Questions that have a rationale, those with much to read first, so that rows of like width meet."""
    sizes = [len(y) + sum(len(r) + len(y) for r in group) for y, group in zip(labels, distinct, strict=True)]
    batch: list[int] = []
    size = 0
    for i in sorted((i for i, group in enumerate(distinct) if group), key=lambda i: -sizes[i]):
        if batch and size + sizes[i] > most:
            yield batch
            batch, size = [], 0
        batch.append(i)
        size += sizes[i]
    if batch:
        yield batch
