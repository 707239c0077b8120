"""A cell with everything that follows from its settings, derived once and passed on from plan to record."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from qcrd.cell import ids
from qcrd.cell.data import TaskData, task_data
from qcrd.cell.identity import asks_for_duals, needs_discriminator, selection_of, teacher_samples
from qcrd.config import Cell, Selection
from qcrd.fingerprint import fingerprint
from qcrd.methods import METHODS
from qcrd.methods.base import Method
from qcrd.tasks.base import Task
from qcrd.teacher.engines import sampler_identity
from qcrd.types import Splits


@dataclass(frozen=True)
class ResolvedCell:
    """One cell: its settings, and what they mean.

    The fields follow from the settings alone. The properties that need the task's questions or the teacher's
    files are computed when they are first read, so that thousands of cells can be planned before any data is
    there; they raise DataError or ConfigError where these are missing. Two cells are equal where their
    settings are.
    """

    settings: Cell
    method: Method = field(compare=False)
    data: TaskData = field(compare=False)  # shared by all cells of the task
    samples: int = field(compare=False)  # teacher samples per question that it reads; 0: needs no teacher
    denoise: Literal["gold", "majority"] = field(compare=False)  # what a positive's answer must equal
    unread: Literal["drop", "negative"] = field(compare=False)  # what an unreadable sample's rationale is
    selection: Selection | None = field(compare=False)  # with the method's defaults; None: selects nothing
    needs_discriminator: bool = field(compare=False)
    asks_for_duals: bool = field(compare=False)  # whether the teacher is asked about its first answers

    @property
    def task(self) -> Task:
        """How its questions are asked and answers are read."""
        return self.data.task

    @property
    def splits(self) -> Splits:
        """Its questions."""
        return self.data.splits

    @property
    def from_teacher(self) -> bool:
        """Whether it trains and validates on the teacher's labels, not on gold ones."""
        return self.settings.rationales.labels == "teacher"

    @cached_property
    def sampler(self) -> dict[str, Any]:
        """Identity of the sampler that its samples come from; the key of their store."""
        return sampler_identity(self.settings.teacher, self.task.stop)

    @cached_property
    def answers(self) -> dict[str, Any]:
        """Identity of what its teacher answers: `ids.answers_identity`."""
        return ids.answers_identity(self.settings.teacher, self.sampler, self.data)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """All that its result depends on: `ids.full_identity`."""
        return ids.full_identity(self.settings, self.data, self.answers if self.samples else None)

    @cached_property
    def id(self) -> str:
        """Fingerprint of its identity; names its folder."""
        return fingerprint(self.identity)

    @cached_property
    def discriminator_id(self) -> str | None:
        """Id of the pretrained discriminator that it begins with, None where it needs none."""
        if not self.needs_discriminator:
            return None
        return ids.discriminator_id(self.settings, self.data, self.answers)

    def __reduce__(self) -> tuple:
        return resolve, (self.settings,)


def resolve(settings: Cell) -> ResolvedCell:
    """The cell of these settings. Reads no file; another process resolves it again from the settings.

    Raises:
        ConfigError: where its method is not registered.
    """
    method, samples = METHODS[settings.method], teacher_samples(settings)
    return ResolvedCell(
        settings=settings,
        method=method,
        data=task_data(settings.task),
        samples=samples,
        denoise=method.denoise(settings.rationales) if samples else "gold",
        unread=method.unread(settings.rationales, settings.student),
        selection=selection_of(settings),
        needs_discriminator=needs_discriminator(settings),
        asks_for_duals=asks_for_duals(settings),
    )
