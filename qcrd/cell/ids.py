"""The identities that need a task's data: of a teacher's answers, of a cell, of a discriminator.

`qcrd.cell.identity` says which settings enter; here the data and the teacher's answers join them.
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
    """Identity of what a teacher answers: of its sampler and of the prompts, and where it is cut off.

    Args:
        teacher: its settings.
        sampler: `sampler_identity` of it; also the key of its sample store.
        data: the task that it is asked about.
    """
    identity = {"sampler": fingerprint(sampler), "prompts": data.prompts_fingerprint}
    return identity | {"limit": asdict(teacher.limit)} if ENGINES[teacher.engine].draws else identity


def full_identity(settings: Cell, data: TaskData, answers: dict[str, Any] | None) -> dict[str, Any]:
    """A cell's identity, whose fingerprint is its id.

    Args:
        settings: of the cell.
        data: of its task.
        answers: `answers_identity` of its teacher; None where it reads no samples.
    """
    teacher = dict(answers or {})
    if asks_for_duals(settings):
        teacher["duals"] = data.duals_fingerprint
    return cell_identity(settings, data.fingerprint, teacher)


def discriminator_id(settings: Cell, data: TaskData, answers: dict[str, Any]) -> str:
    """Id of the pretrained discriminator of a cell that `needs_discriminator`."""
    return fingerprint(discriminator_identity(settings, data.fingerprint, answers))
