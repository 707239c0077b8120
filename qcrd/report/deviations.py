"""Deviations of a cell from the setup of a result in the paper. Without any, the two are comparable."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from qcrd.cell.identity import cell_identity, needs_discriminator, teacher_samples
from qcrd.config import Cell, merged
from qcrd.config.presets import PAPER

NAMES = {"svamp": "SVAMP", "cqa": "CQA", "anli1": "ANLI1", "esnli": "e-SNLI"}
TASKS = tuple(NAMES)
_SIZES = {  # train, validation, test (section 4.1)
    "svamp": (720, 80, 200),
    "cqa": (8766, 975, 1221),
    "anli1": (16946, 1000, 1000),
    "esnli": (549367, 9842, 9824),
}
_TEACHER, _TEMPERATURE = "gpt-3.5-turbo", 0.7  # section 4.1

# Compared by the cell's identity, which only has the settings that its method uses. Excluded are models and
# tokenizers (compared by name above), the iteration (undefined in the paper) and the numerical precision.
_SECTIONS = ("rationales", "selection", "contrastive", "selfplay", "discriminator", "training", "student")
_EXCLUDED = {"model", "tokenizer", "precision", "iteration", "teacher"}


def deviations(cell: Cell, task: str, size: str, labels: str, varied: Mapping[str, Any]) -> tuple[str, ...]:
    """List the deviations, each as "ours instead of the paper's".

    Settings that the paper does not give, such as steps and learning rate, are compared with `presets.PAPER`,
    which takes them from Distilling Step-by-Step.

    Args:
        cell: a cell.
        task: task of the paper's result.
        size: size of its T5, base or small.
        labels: its training labels, gold or teacher.
        varied: settings (dotted paths) that the paper's table varies, with the values of the result.

    Returns:
        The deviations; empty if there are none.
    """
    return tuple(_deviations(cell, task, size, labels, varied))


def _deviations(cell: Cell, task: str, size: str, labels: str, varied: Mapping[str, Any]) -> Iterator[str]:
    if cell.task.name != task:
        yield f"task {cell.task.name} instead of {NAMES[task]}"
    else:
        for split, count in zip(("train", "validation", "test"), _SIZES[task], strict=True):
            configured = getattr(cell.task, split)
            if configured not in (None, count):
                yield f"{configured} {split} questions instead of {count}"
    if not _is_t5(cell.student.checkpoint, size):
        yield f"student {_named(cell.student.checkpoint)} instead of T5-{size}"
    if cell.rationales.labels != labels:
        yield f"{_labels(cell.rationales.labels)} labels instead of {_labels(labels)} ones"
    if teacher_samples(cell):
        teacher = cell.teacher
        if not re.fullmatch(rf"{_TEACHER}(-\d+)?", teacher.name):
            yield f"teacher {teacher.name} instead of {_TEACHER}"
        elif teacher.temperature != _TEMPERATURE:
            yield f"teacher.temperature {teacher.temperature:g} instead of {_TEMPERATURE}"
    if needs_discriminator(cell) and not _is_t5(cell.discriminator.checkpoint, "base"):
        yield f"discriminator {_named(cell.discriminator.checkpoint)} instead of T5-base"
    yield from _settings(cell, _reference(cell, labels, varied))


def _settings(cell: Cell, paper: Cell) -> Iterator[str]:
    """Deviations in the settings that enter the identity."""
    identity, papers_identity = (cell_identity(c, "", {}) for c in (cell, paper))
    for section in _SECTIONS:
        if (section in identity) != (section in papers_identity):
            yield f"another {section}"
            continue
        ours, papers = identity.get(section, {}), papers_identity.get(section, {})
        for name in (name for name in ours if name in papers and name not in _EXCLUDED):
            if ours[name] != papers[name]:
                yield f"{section}.{name} {_shown(ours[name])} instead of {_shown(papers[name])}"


def _reference(cell: Cell, labels: str, varied: Mapping[str, Any]) -> Cell:
    """The paper's cell, as far as it is known, with the varied settings of the result."""
    tree = merged(PAPER, {"method": cell.method, "rationales": {"labels": labels}})
    for path, value in varied.items():
        section, name = path.split(".")
        tree = merged(tree, {section: {name: value}})
    return Cell.model_validate(tree)


def _is_t5(checkpoint: str | None, size: str) -> bool:
    """Whether it is T5 of this size in any release, since the paper does not name the release."""
    return re.fullmatch(rf"(?:.*/)?t5(?:-v1_1)?-{size}", checkpoint or "") is not None


def _named(checkpoint: str | None) -> str:
    return checkpoint or "from random weights"


def _labels(labels: str) -> str:
    return "the teacher's" if labels == "teacher" else labels


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
