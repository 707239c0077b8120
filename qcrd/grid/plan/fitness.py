"""Whether one cell's settings can work together: all that can be said of them before anything is loaded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcrd import tasks
from qcrd.cell.identity import asks_for_duals, selection_of, teacher_samples
from qcrd.config import Cell, Teacher
from qcrd.grid.plan.problems import misfits, shown, worded
from qcrd.losses import SCHEMES
from qcrd.methods import METHODS
from qcrd.rationales.select import SELECTIONS, rule_of
from qcrd.registry import Registry
from qcrd.teacher.engines import ENGINES, faults


def fitted(tree: dict[str, Any]) -> tuple[Cell | None, list[tuple[str, str]]]:
    """The cell of merged settings, or (dotted path, message) of all that is wrong with them."""
    errors = []
    for registry in _registries():
        name = value_at(tree, registry.setting)
        if isinstance(name, str) and name not in registry:
            errors.append((registry.setting, f"value {shown(name)}; {registry.unknown(name)}"))
    errors += [("teacher", fault) for fault in _unfit(tree.get("teacher", {}))]
    try:
        cell = Cell.model_validate(tree)
    except ValidationError as error:
        return None, errors + [(".".join(map(str, e["loc"])), worded(e, Cell)) for e in error.errors()]
    errors = errors or [*_misfits(cell), *_strangers(cell), *_unable(cell), *_unselectable(cell)]
    return (None if errors else cell), errors


def _unfit(section: Any) -> list[str]:
    """What is wrong with a teacher for its engine, where the section alone says who it is."""
    try:
        teacher = Teacher.model_validate(section)
    except ValidationError:
        return []  # said with the cell's
    return list(faults(teacher)) if teacher.engine in ENGINES else []


def _misfits(cell: Cell) -> Iterator[tuple[str, str]]:
    """Where options are not those that the cell's plugins declare."""
    method, engine = METHODS[cell.method], ENGINES[cell.teacher.engine]
    yield from misfits("options", cell.options, f"method {method.name}", method.options)
    yield from misfits("teacher.options", cell.teacher.options, f"engine {engine.name}", engine.options)


def _arithmetic() -> set[str]:
    words = tasks.TASKS["arithmetic"].vocabulary()
    assert words is not None  # its texts are generated
    return {*words}


def _strangers(cell: Cell) -> Iterator[tuple[str, str]]:
    """Where a task other than arithmetic has been given what only knows arithmetic's words."""
    name, student = cell.task.name, cell.student
    plain = student.tokenizer is None and student.checkpoint is None
    words = tasks.TASKS[name].vocabulary()
    if plain and (words is None or not {*words} <= _arithmetic()):
        what = "natural text" if words is None else "in other words than arithmetic"
        yield (
            "task.name",
            f"value {shown(name)} is {what}, which a student reads with a tokenizer: set "
            "student.tokenizer or student.checkpoint to a folder or Hub id (`preset: paper` has one)",
        )
    if cell.teacher.embedded and name != "arithmetic" and teacher_samples(cell):
        yield (
            "task.name",
            f"value {shown(name)}, but the teacher 'embedded' only knows arithmetic: set teacher.model to a "
            "folder or Hub id (`preset: paper` has one), or teacher.engine: recorded with teacher.path",
        )


def _unable(cell: Cell) -> Iterator[tuple[str, str]]:
    """Where a teacher is asked for what it cannot do."""
    deaf = not ENGINES[cell.teacher.engine].draws
    if asks_for_duals(cell) and (deaf or cell.teacher.embedded):
        why = "answers that are recorded" if deaf else "the teacher 'embedded'"
        yield (
            "edit.duals",
            f"value 'prompted', but {why} cannot be told what to do; allowed: mined, or a teacher that "
            "follows instructions (teacher.engine: vllm, openai or transformers, with a teacher.model)",
        )


def _unselectable(cell: Cell) -> Iterator[tuple[str, str]]:
    """Where a rule lacks what it selects by: how many, or the model that measures."""
    chosen = selection_of(cell)
    if chosen is None:
        return
    rule, measurer = rule_of(chosen), chosen.measured_by
    if rule.counts and chosen.n is None:
        yield (
            "selection.rule",
            f"value {shown(rule.name)}, but method {cell.method} has no n of its own: selection.n is "
            f"needed with rule {rule.name}; allowed: numbers from 1 up (MoRSD: 6)",
        )
    # What cannot be a Hub id would fail only after the samples are drawn.
    if rule.measures and measurer and measurer[0] in "./~" and not Path(measurer).is_dir():
        yield (
            "selection.measured_by",
            f"value {shown(measurer)} is no folder; allowed: the folder of a T5-family checkpoint, a Hub id",
        )


def _registries() -> tuple[Registry, ...]:
    """What a cell's settings name."""
    return tasks.TASKS, METHODS, SELECTIONS, SCHEMES, ENGINES


def value_at(tree: dict[str, Any], path: str) -> Any:
    """The value at a dotted path, None where there is none."""
    value: Any = tree
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
