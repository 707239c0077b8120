"""Identities that include a task's data: of a teacher's answers, a cell and a discriminator.

`qcrd.cell.identity` defines which settings they include; this module adds data and teacher's answers.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from qcrd.cell.data import TaskData
from qcrd.cell.identity import asks_for_duals, cell_identity, discriminator_identity
from qcrd.config import Cell, Teacher
from qcrd.fingerprint import fingerprint
from qcrd.teacher.engines import ENGINES


def answers_identity(teacher: Teacher, sampler: dict[str, Any], data: TaskData) -> dict[str, Any]:
    """Identity of a teacher's answers: its sampler, the prompts and the length limit.

    Args:
        teacher: settings of the teacher.
        sampler: the teacher's `sampler_identity`, which is also the key of its sample store.
        data: the task.
    """
    identity = {"sampler": fingerprint(sampler), "prompts": data.prompts_fingerprint}
    return identity | {"limit": asdict(teacher.limit)} if ENGINES[teacher.engine].draws else identity


def full_identity(settings: Cell, data: TaskData, answers: dict[str, Any] | None) -> dict[str, Any]:
    """A cell's identity, whose fingerprint is its id.

    Args:
        settings: settings of the cell.
        data: its task's data.
        answers: `answers_identity` of its teacher; None if it reads no samples.
    """
    teacher = dict(answers or {})
    if asks_for_duals(settings):
        teacher["duals"] = data.duals_fingerprint
    return cell_identity(settings, data.fingerprint, teacher)


def discriminator_id(settings: Cell, data: TaskData, answers: dict[str, Any]) -> str:
    """Id of the pretrained discriminator of a cell that `needs_discriminator`."""
    return fingerprint(discriminator_identity(settings, data.fingerprint, answers))
