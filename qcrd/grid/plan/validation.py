"""Validates one cell's settings, including their combinations, without loading data or models."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from qcrd import tasks
from qcrd.cell.identity import asks_for_duals, selection_of, teacher_samples
from qcrd.config import Cell, Teacher
from qcrd.grid.plan.problems import invalid_options, validation_message, yaml_text
from qcrd.losses import SCHEMES
from qcrd.methods import METHODS
from qcrd.rationales.select import SELECTIONS, rule_of
from qcrd.registry import Registry
from qcrd.teacher.engines import ENGINES, faults


def validate_cell(tree: dict[str, Any]) -> tuple[Cell | None, list[tuple[str, str]]]:
    """The cell of merged settings, or None and a (dotted path, message) per error."""
    errors: list[tuple[str, str]] = []
    for registry in _registries():
        name = value_at(tree, registry.setting)
        if isinstance(name, str) and name not in registry:
            errors.append((registry.setting, f"value {yaml_text(name)}; {registry.unknown(name)}"))
    errors += [("teacher", fault) for fault in _teacher_errors(tree.get("teacher", {}))]
    try:
        cell = Cell.model_validate(tree)
    except ValidationError as error:
        return None, errors + [
            (".".join(map(str, details["loc"])), validation_message(details, Cell))
            for details in error.errors()
        ]
    errors = errors or [
        *_option_errors(cell),
        *_vocabulary_errors(cell),
        *_dual_errors(cell),
        *_selection_errors(cell),
    ]
    return (None if errors else cell), errors


def _teacher_errors(section: Any) -> list[str]:
    """The engine's objections to the teacher's settings; [] if the section is invalid by itself."""
    try:
        teacher = Teacher.model_validate(section)
    except ValidationError:
        return []  # reported with the cell's errors
    return list(faults(teacher)) if teacher.engine in ENGINES else []


def _option_errors(cell: Cell) -> Iterator[tuple[str, str]]:
    """Options that the cell's method or engine does not accept."""
    method, engine = METHODS[cell.method], ENGINES[cell.teacher.engine]
    yield from invalid_options("options", cell.options, f"method {method.name}", method.options)
    yield from invalid_options(
        "teacher.options", cell.teacher.options, f"engine {engine.name}", engine.options
    )


def _arithmetic_words() -> set[str]:
    words = tasks.TASKS["arithmetic"].vocabulary()
    assert words is not None  # its questions are generated
    return {*words}


def _vocabulary_errors(cell: Cell) -> Iterator[tuple[str, str]]:
    """A task other than arithmetic with a student or teacher whose vocabulary is arithmetic's words."""
    name, student = cell.task.name, cell.student
    has_word_tokenizer = student.tokenizer is None and student.checkpoint is None
    words = tasks.TASKS[name].vocabulary()
    if has_word_tokenizer and (words is None or not {*words} <= _arithmetic_words()):
        kind = "is natural text" if words is None else "has other words than arithmetic"
        yield (
            "task.name",
            f"value {yaml_text(name)} {kind}, so the student needs a tokenizer: set "
            "student.tokenizer or student.checkpoint to a folder or Hub id (`preset: paper` has one)",
        )
    if cell.teacher.embedded and name != "arithmetic" and teacher_samples(cell):
        yield (
            "task.name",
            f"value {yaml_text(name)}, but the teacher 'embedded' only answers arithmetic: set "
            "teacher.model to a folder or Hub id (`preset: paper` has one), or teacher.engine: recorded "
            "with teacher.path",
        )


def _dual_errors(cell: Cell) -> Iterator[tuple[str, str]]:
    """Prompted duals with a teacher that cannot follow instructions."""
    recorded = not ENGINES[cell.teacher.engine].draws
    if asks_for_duals(cell) and (recorded or cell.teacher.embedded):
        teacher = "a teacher with recorded answers" if recorded else "the teacher 'embedded'"
        yield (
            "edit.duals",
            f"value 'prompted', but {teacher} cannot follow instructions; allowed: mined, or a teacher that "
            "follows instructions (teacher.engine: vllm, openai or transformers, with a teacher.model)",
        )


def _selection_errors(cell: Cell) -> Iterator[tuple[str, str]]:
    """A selection rule without its number of rationales, or without the model that it measures with."""
    selection = selection_of(cell)
    if selection is None:
        return
    rule, measurer = rule_of(selection), selection.measured_by
    if rule.counts and selection.n is None:
        yield (
            "selection.rule",
            f"value {yaml_text(rule.name)}, but method {cell.method} has no default for n: rule "
            f"{rule.name} needs selection.n; allowed: numbers from 1 up (MoRSD: 6)",
        )
    # An invalid Hub id would otherwise fail only after the samples are drawn.
    if rule.measures and measurer and measurer[0] in "./~" and not Path(measurer).is_dir():
        yield (
            "selection.measured_by",
            f"value {yaml_text(measurer)} is not a folder; allowed: the folder of a T5-family checkpoint, "
            "or a Hub id",
        )


def _registries() -> tuple[Registry[Any], ...]:
    """The registries whose entries a cell's settings name."""
    return tasks.TASKS, METHODS, SELECTIONS, SCHEMES, ENGINES


def value_at(tree: dict[str, Any], path: str) -> Any:
    """The value at a dotted path; None if there is none."""
    value: Any = tree
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value
