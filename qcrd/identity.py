"""What a cell's result depends on, and nothing else: the id under which it is kept and found again."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd.config import Cell
from qcrd.fingerprint import fingerprint
from qcrd.teacher.base import fingerprint_path

if TYPE_CHECKING:
    from qcrd.methods.base import Method

RESULT_VERSION = 1
"""Part of every id. Raise it by one with each change of the code that changes a trained cell's figures
(losses, data order, initialisation, parsing, decoding, evaluation), so that old results are not taken for
new ones; not for changes of speed, logging or layout that leave the figures alone."""


def cell_identity(cell: Cell, data: str, teacher: dict[str, Any] | str) -> dict[str, Any]:
    """All that changes the cell's result.

    Settings that its method does not read are left out, so that a baseline beside a sweep of beta is one
    cell. Places (sources, folders) enter by their content.

    Args:
        cell: the cell.
        data: fingerprint of the task's `Splits`; stands for all of `cell.task` but its name.
        teacher: identity of the sampler, or its fingerprint; stands for all of `cell.teacher`.
    """
    uses = _method(cell).uses
    identity = {
        "version": RESULT_VERSION,
        "method": cell.method,
        "task": {"name": cell.task.name, "data": data},
        "student": _student(cell),
        "training": cell.training.model_dump(),
        "labels": cell.rationales.labels,
        "seed": cell.seed,
    }
    if teacher_samples(cell):
        identity["rationales"] = _rationales(cell, teacher)
    if "contrastive" in uses:
        identity["contrastive"] = cell.contrastive.model_dump()
    if "selfplay" in uses:
        play = cell.selfplay
        identity["selfplay"] = {"k": play.k, "tau": play.tau, "lag": play.lag} if play.k else {"k": 0}
    if "discriminator" in uses:
        identity["discriminator"] = _discriminator(cell)
    return identity


def cell_id(cell: Cell, data: str, teacher: dict[str, Any] | str) -> str:
    """Fingerprint of `cell_identity`."""
    return fingerprint(cell_identity(cell, data, teacher))


def discriminator_identity(cell: Cell, data: str, teacher: dict[str, Any] | str) -> dict[str, Any]:
    """All that changes the discriminator as it is after pretraining; the arguments are `cell_identity`'s.

    Cells that differ in the student, the losses or self-play share one.
    """
    settings = _discriminator(cell)
    for after in ("update_steps", "alpha3", "decay"):  # read at iteration boundaries only
        settings.pop(after, None)
    return {
        "version": RESULT_VERSION,
        "task": {"name": cell.task.name, "data": data},
        "rationales": _rationales(cell, teacher),
        "discriminator": settings,
        "tokenizer": _tokenizer(cell),
        "max_input": cell.student.max_input,
        "max_rationale": cell.student.max_rationale,
        "precision": cell.student.precision,
        "seed": cell.seed,
    }


def teacher_samples(cell: Cell) -> int:
    """Teacher samples per question that the cell reads; 0 where it needs no teacher."""
    method = _method(cell)
    if "teacher" not in method.uses and cell.rationales.labels == "gold":
        return 0
    return method.samples(cell.rationales)


def _method(cell: Cell) -> Method:
    from qcrd.methods import METHODS  # imports torch, which reading a configuration should not wait for

    return METHODS[cell.method]


def _rationales(cell: Cell, teacher: dict[str, Any] | str) -> dict[str, Any]:
    method = _method(cell)
    return {
        "teacher": teacher,
        "samples": method.samples(cell.rationales),
        "denoise": method.denoise(cell.rationales),
    }


def _student(cell: Cell) -> dict[str, Any]:
    student = cell.student
    return {
        "model": _model(student.checkpoint, student.revision) or student.architecture.model_dump(),
        "tokenizer": _tokenizer(cell),
        **student.model_dump(include={"dropout", "max_input", "max_rationale", "max_label", "precision"}),
    }


def _discriminator(cell: Cell) -> dict[str, Any]:
    judge = cell.discriminator
    if not judge.enabled:
        return {"enabled": False}
    return {
        "enabled": True,
        "model": _model(judge.checkpoint, judge.revision) or judge.architecture.model_dump(),
        **judge.model_dump(exclude={"enabled", "checkpoint", "revision", "architecture"}),
    }


def _tokenizer(cell: Cell) -> dict[str, Any] | None:
    """None is the task's own vocabulary, which its data determines."""
    return _model(cell.student.tokenizer, None) or _model(cell.student.checkpoint, cell.student.revision)


def _model(name: str | None, revision: str | None) -> dict[str, Any] | None:
    """A checkpoint: a folder by its content, a Hub id by name and revision."""
    if name is None:
        return None
    folder = Path(name)
    if not folder.is_dir():
        return {"hub": name, "revision": revision}
    stamp = tuple((str(f), f.stat().st_mtime_ns) for f in sorted(folder.rglob("*")))
    return {"content": _content(folder, stamp)}


@lru_cache(maxsize=64)
def _content(folder: Path, stamp: tuple) -> str:
    """Fingerprint of a folder, computed once for thousands of cells unless a file changes (`stamp`)."""
    return fingerprint_path(folder)
