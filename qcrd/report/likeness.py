"""In what a cell is not what the paper's figure is of: where nothing is, they can be subtracted."""

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

# Read off a cell's identity, which has what its method reads and nothing else. Left out is what is compared
# by its name, what the paper does not define (the iteration), and how exactly is calculated.
_SECTIONS = ("rationales", "selection", "contrastive", "selfplay", "discriminator", "training", "student")
_APART = {"model", "tokenizer", "precision", "iteration", "teacher"}


def unlike(cell: Cell, task: str, size: str, labels: str, varied: Mapping[str, Any]) -> tuple[str, ...]:
    """Each difference as `what it is here instead of what it is in the paper`; () is none.

    What the paper leaves open, as steps and learning rate, is as in `presets.PAPER`: there Distilling
    Step-by-Step's settings stand in.

    Args:
        cell: a cell.
        task: whose figure it is.
        size: of T5, base or small.
        labels: gold or teacher.
        varied: settings (dotted paths) that the figure's table varies, as the figure has them.
    """
    return tuple(_differences(cell, task, size, labels, varied))


def _differences(cell: Cell, task: str, size: str, labels: str, varied: Mapping[str, Any]) -> Iterator[str]:
    if cell.task.name != task:
        yield f"task {cell.task.name} instead of {NAMES[task]}"
    else:
        for split, count in zip(("train", "validation", "test"), _SIZES[task], strict=True):
            asked = getattr(cell.task, split)
            if asked not in (None, count):
                yield f"{asked} {split} questions instead of {count}"
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
    here, there = (cell_identity(each, "", {}) for each in (cell, paper))
    for section in _SECTIONS:
        if (section in here) != (section in there):
            yield f"another {section}"
            continue
        ours, papers = here.get(section, {}), there.get(section, {})
        for name in (name for name in ours if name in papers and name not in _APART):
            if ours[name] != papers[name]:
                yield f"{section}.{name} {_shown(ours[name])} instead of {_shown(papers[name])}"


def _reference(cell: Cell, labels: str, varied: Mapping[str, Any]) -> Cell:
    """The paper's cell, as far as it is known, with what its table varies as the figure has it."""
    tree = merged(PAPER, {"method": cell.method, "rationales": {"labels": labels}})
    for path, value in varied.items():
        section, name = path.split(".")
        tree = merged(tree, {section: {name: value}})
    return Cell.model_validate(tree)


def _is_t5(checkpoint: str | None, size: str) -> bool:
    """Which release is meant the paper does not say."""
    return re.fullmatch(rf"(?:.*/)?t5(?:-v1_1)?-{size}", checkpoint or "") is not None


def _named(checkpoint: str | None) -> str:
    return checkpoint or "from random weights"


def _labels(labels: str) -> str:
    return "the teacher's" if labels == "teacher" else labels


def _shown(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)
