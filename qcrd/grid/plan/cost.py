"""What grids cost in GPU hours, before anything has run: FLOP over what a card does of them in a second."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from qcrd.cell.identity import cell_id, discriminator_identity, needs_discriminator, teacher_samples
from qcrd.config import Cell, Task, Teacher
from qcrd.fingerprint import fingerprint
from qcrd.grid.plan.expansion import SampleNeed, required_samples
from qcrd.grid.plan.flops import flops, pretraining, sampling
from qcrd.grid.plan.sizes import sizes
from qcrd.teacher.engines import ENGINES

CARDS = {"A100": 312.0, "H100": 989.0, "L4": 121.0}
"""Peak bf16 TFLOP/s without sparsity, as NVIDIA's data sheets have it (H100: SXM; L4: half of what is printed
with sparsity)."""
READING = 0.25
"""Assumed share of the peak where many tokens go through at once: losses, the judge, the teacher's batches.
Nothing was measured on a GPU; `qcrd bench step --bf16` measures it."""
WRITING = 0.02
"""The same where the student writes token by token: self-play and evaluation, which wait for memory."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Of distinct cells, samples and discriminators; in FLOP."""

    cells: int  # distinct ones
    uncounted: tuple[str, ...]  # methods, tasks, checkpoints and teachers whose share is not in it
    steps: float
    judged: float  # discriminators, pretraining included
    written: float  # by the student: self-play
    evaluated: float
    sampled: float  # by teachers that are loaded here

    @property
    def total(self) -> float:
        """All of it."""
        return self.steps + self.judged + self.written + self.evaluated + self.sampled

    def hours(self, card: str) -> float:
        """GPU hours of one card of `CARDS`."""
        read, written = self.steps + self.judged + self.sampled, self.written + self.evaluated
        return (read / READING + written / WRITING) / (CARDS[card] * 1e12) / 3600

    def as_object(self) -> dict[str, Any]:
        """For JSON."""
        parts = ("steps", "judged", "written", "evaluated", "sampled")
        return {
            "cells": self.cells,
            "pflop": {name: getattr(self, name) / 1e15 for name in parts} | {"total": self.total / 1e15},
            "gpu_hours": {card: self.hours(card) for card in CARDS},
            "uncounted": list(self.uncounted),
            "assumed": {"peak_tflops": CARDS, "reading": READING, "writing": WRITING},
        }


def cost(cells: Sequence[Cell], missing: Mapping[tuple[Task, Teacher], int] | None = None) -> Cost:
    """What cells take, those with equal results and what they share counted once; loads no data and no model.

    Args:
        cells: of one grid or several.
        missing: samples that are still to be drawn of each (task, teacher); None is all that the cells read.
    """
    sized = [(_sized(cell), cell) for cell in cells]
    distinct = {_key(cell): cell for cell, _ in sized}
    asked = {(cell.task, cell.teacher): (own.task, own.teacher) for cell, own in sized}
    parts = dict.fromkeys(("steps", "judged", "written", "evaluated", "sampled"), 0.0)
    uncounted: dict[str, None] = {}
    judges: dict[str, Cell] = {}
    for cell in distinct.values():
        found = flops(cell)
        if found is None:
            student = cell.student.checkpoint or "its student"
            uncounted[f"{cell.method} on {cell.task.name} with {student}"] = None
            continue
        for name in ("steps", "judged", "written", "evaluated"):
            parts[name] += getattr(found, name)
        if needs_discriminator(cell):
            judges.setdefault(fingerprint(discriminator_identity(cell, _data(cell), {})), cell)
    parts["judged"] += sum(map(pretraining, judges.values()))
    for cell, count in _draws(list(distinct.values()), asked, missing):
        drawn = sampling(cell, count)
        if drawn is None:
            uncounted[f"samples of {cell.teacher.name}"] = None
        parts["sampled"] += drawn or 0.0
    return Cost(len(distinct), tuple(uncounted), **parts)


def _draws(
    cells: Sequence[Cell],
    asked: Mapping[tuple[Task, Teacher], tuple[Task, Teacher]],
    missing: Mapping[tuple[Task, Teacher], int] | None,
) -> Iterator[tuple[Cell, int]]:
    """A cell of each data set and teacher that is loaded here, and how many samples it is asked for.

    A part of a data set is the beginning of the whole, and the first samples are those of a larger m, so what
    needs share counts once: for each draw the most questions of those that want it.
    """
    first = {(cell.task, cell.teacher): cell for cell in reversed(cells)}
    groups: dict[tuple[Task, Teacher], list[SampleNeed]] = {}
    for need in required_samples(cells):
        if ENGINES[need.teacher.engine].weights and not need.teacher.embedded:
            whole = need.task.model_copy(update={"train": None})
            groups.setdefault((whole, need.teacher), []).append(need)
    for needs in groups.values():
        cell = first[needs[0].task, needs[0].teacher]
        if missing is not None:
            yield cell, sum(missing.get(asked[need.task, need.teacher], 0) for need in needs)
            continue
        count = 0
        for split in ("train", "validation"):
            wanted = [
                (need.m, getattr(of, split))
                for need in needs
                if split in need.splits and (of := sizes(first[need.task, need.teacher]))
            ]
            most = max((m for m, _ in wanted), default=0)
            count += sum(max(questions for m, questions in wanted if m > draw) for draw in range(most))
        yield cell, count


def text(name: str, found: Cost) -> str:
    """One line for people."""
    hours = ", ".join(f"{found.hours(card):,.3g} {card}" for card in CARDS)
    left = f"; not counted: {', '.join(found.uncounted)}" if found.uncounted else ""
    return f"{name}: {found.cells} cells, {found.total / 1e15:,.3g} PFLOP, GPU hours: {hours}{left}"


def basis() -> str:
    """What the hours rest on, for people."""
    peaks = ", ".join(f"{card} {peak:g}" for card, peak in CARDS.items())
    return (
        f"assumed, not measured: dense bf16 peak in TFLOP/s ({peaks}), of which {READING:.0%} where tokens "
        f"go through together and {WRITING:.0%} where a student writes them one by one (docs/clusters.md)"
    )


def _sized(cell: Cell) -> Cell:
    """With the sizes of its data written out, so that all of a set and its whole number are one."""
    of = sizes(cell)
    if of is None:
        return cell
    whole = {"train": of.train, "validation": of.validation, "test": of.test}
    return cell.model_copy(update={"task": cell.task.model_copy(update=whole)})


def _key(cell: Cell) -> str:
    return cell_id(cell, _data(cell), cell.teacher.model_dump() if teacher_samples(cell) else {})


def _data(cell: Cell) -> str:
    return fingerprint(cell.task.model_dump())
