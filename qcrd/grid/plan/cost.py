"""Estimates the GPU hours of grids before anything has run: FLOP divided by a card's assumed throughput."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qcrd.cell.identity import cell_id, discriminator_identity, needs_discriminator, teacher_samples
from qcrd.config import Cell, Task, Teacher
from qcrd.fingerprint import fingerprint
from qcrd.grid.plan.expansion import SampleNeed, required_samples
from qcrd.grid.plan.flops import flops, pretraining, sampling
from qcrd.grid.plan.sizes import data_sizes
from qcrd.teacher.engines import ENGINES
from qcrd.training.cards import CARDS

PARALLEL_UTILISATION = 0.25
"""Assumed share of the peak when many tokens are processed in parallel: losses, discriminator, teacher.
Not measured on a GPU; `qcrd bench step --bf16` measures it."""
DECODING_UTILISATION = 0.02
"""The same when the student decodes token by token (self-play, evaluation), which is memory-bound."""

_PARTS = ("steps", "discriminator", "selfplay", "evaluation", "sampling")
_TaskAndTeacher = tuple[Task, Teacher]


@dataclass(frozen=True, slots=True)
class Cost:
    """FLOP of distinct cells, samples and discriminators."""

    cells: int  # number of distinct cells
    uncounted: tuple[str, ...]  # methods, tasks, checkpoints and teachers that are not included
    steps: float  # the students' losses
    discriminator: float  # discriminators, including pretraining
    selfplay: float
    evaluation: float
    sampling: float  # by teachers that run here

    @property
    def total(self) -> float:
        """Sum of all parts."""
        return self.steps + self.discriminator + self.selfplay + self.evaluation + self.sampling

    def hours(self, card: str) -> float:
        """GPU hours on a card of `CARDS`."""
        parallel = self.steps + self.discriminator + self.sampling
        decoding = self.selfplay + self.evaluation
        return (
            (parallel / PARALLEL_UTILISATION + decoding / DECODING_UTILISATION) / (CARDS[card] * 1e12) / 3600
        )

    def as_object(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "cells": self.cells,
            "pflop": {name: getattr(self, name) / 1e15 for name in _PARTS} | {"total": self.total / 1e15},
            "gpu_hours": {card: self.hours(card) for card in CARDS},
            "uncounted": list(self.uncounted),
            "assumed": {
                "peak_tflops": CARDS,
                "parallel_utilisation": PARALLEL_UTILISATION,
                "decoding_utilisation": DECODING_UTILISATION,
            },
        }


def cost(cells: Sequence[Cell], missing: Mapping[_TaskAndTeacher, int] | None = None) -> Cost:
    """Cost of cells, without loading data or models.

    Cells with equal results, and samples and discriminators that cells share, are counted once.

    Args:
        cells: cells of one or more grids.
        missing: number of missing samples per (task, teacher); None: all samples that the cells read.
    """
    sized = [(_with_split_sizes(cell), cell) for cell in cells]
    distinct = {_result_key(cell): cell for cell, _ in sized}
    as_given = {(cell.task, cell.teacher): (given.task, given.teacher) for cell, given in sized}
    parts = dict.fromkeys(_PARTS, 0.0)
    uncounted: dict[str, None] = {}  # an ordered set
    discriminators: dict[str, Cell] = {}
    for cell in distinct.values():
        cell_flops = flops(cell)
        if cell_flops is None:
            student = cell.student.checkpoint or "its student"
            uncounted[f"{cell.method} on {cell.task.name} with {student}"] = None
            continue
        for name in ("steps", "discriminator", "selfplay", "evaluation"):
            parts[name] += getattr(cell_flops, name)
        if needs_discriminator(cell):
            key = fingerprint(discriminator_identity(cell, _data_key(cell), {}))
            discriminators.setdefault(key, cell)
    parts["discriminator"] += sum(map(pretraining, discriminators.values()))
    for cell, count in _sample_counts(list(distinct.values()), as_given, missing):
        sample_flops = sampling(cell, count)
        if sample_flops is None:
            uncounted[f"samples of {cell.teacher.name}"] = None
        parts["sampling"] += sample_flops or 0.0
    return Cost(len(distinct), tuple(uncounted), **parts)


def _sample_counts(
    cells: Sequence[Cell],
    as_given: Mapping[_TaskAndTeacher, _TaskAndTeacher],
    missing: Mapping[_TaskAndTeacher, int] | None,
) -> Iterator[tuple[Cell, int]]:
    """For each data set and teacher that runs here: one of the cells, and the number of samples to draw.

    A smaller split is the beginning of a larger one, and the first samples are those of a larger m. Samples
    that needs share therefore count once: each draw is for the largest number of questions that requires it.

    Args:
        cells: distinct cells, with the sizes of their splits set.
        as_given: task and teacher in the cells' original settings, by those in `cells`.
        missing: as in `cost`.
    """
    cell_of = {(cell.task, cell.teacher): cell for cell in reversed(cells)}
    groups: dict[_TaskAndTeacher, list[SampleNeed]] = {}
    for need in required_samples(cells):
        if ENGINES[need.teacher.engine].weights and not need.teacher.embedded:
            whole = need.task.model_copy(update={"train": None})
            groups.setdefault((whole, need.teacher), []).append(need)
    for needs in groups.values():
        cell = cell_of[needs[0].task, needs[0].teacher]
        if missing is not None:
            yield cell, sum(missing.get(as_given[need.task, need.teacher], 0) for need in needs)
            continue
        count = 0
        for split in ("train", "validation"):
            demands = [
                (need.m, getattr(task_sizes, split))
                for need in needs
                if split in need.splits and (task_sizes := data_sizes(cell_of[need.task, need.teacher]))
            ]
            draws = max((m for m, _ in demands), default=0)
            count += sum(max(questions for m, questions in demands if m > draw) for draw in range(draws))
        yield cell, count


def text(name: str, total: Cost) -> str:
    """A summary in one line."""
    hours = ", ".join(f"{total.hours(card):,.3g} {card}" for card in CARDS)
    uncounted = f"; not counted: {', '.join(total.uncounted)}" if total.uncounted else ""
    return f"{name}: {total.cells} cells, {total.total / 1e15:,.3g} PFLOP, GPU hours: {hours}{uncounted}"


def assumptions() -> str:
    """The assumptions behind the GPU hours, in one line."""
    peaks = ", ".join(f"{card} {peak:g}" for card, peak in CARDS.items())
    return (
        f"assumed, not measured: dense bf16 peak in TFLOP/s ({peaks}), with {PARALLEL_UTILISATION:.0%} of it "
        f"for tokens processed in parallel and {DECODING_UTILISATION:.0%} when a student decodes "
        "(docs/clusters.md)"
    )


def _with_split_sizes(cell: Cell) -> Cell:
    """The cell with explicit split sizes, so that a default and the same explicit number are equal."""
    sizes = data_sizes(cell)
    if sizes is None:
        return cell
    splits = {"train": sizes.train, "validation": sizes.validation, "test": sizes.test}
    return cell.model_copy(update={"task": cell.task.model_copy(update=splits)})


def _result_key(cell: Cell) -> str:
    return cell_id(cell, _data_key(cell), cell.teacher.model_dump() if teacher_samples(cell) else {})


def _data_key(cell: Cell) -> str:
    return fingerprint(cell.task.model_dump())
