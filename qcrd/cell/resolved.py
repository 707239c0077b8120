"""A cell with everything derived from its settings, computed once and passed on from plan to record."""

from __future__ import annotations

from collections.abc import Callable
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
    """A cell's settings, and what is derived from them.

    The fields are derived from the settings alone. Properties that need the task's questions or the teacher's
    files are computed on first access, so that thousands of cells can be planned without data; they raise
    DataError or ConfigError if these are missing. Two cells are equal if their settings are equal.
    """

    settings: Cell
    method: Method = field(compare=False)
    data: TaskData = field(compare=False)  # shared by all cells of the task
    samples: int = field(compare=False)  # teacher samples per question; 0: needs no teacher
    denoise: Literal["gold", "majority"] = field(compare=False)  # label that a positive's answer must equal
    unread: Literal["drop", "negative"] = field(compare=False)  # use of samples that cannot be parsed
    selection: Selection | None = field(compare=False)  # with the method's defaults; None: no selection
    needs_discriminator: bool = field(compare=False)
    asks_for_duals: bool = field(compare=False)  # whether the teacher is prompted for dual rationales

    @property
    def task(self) -> Task:
        """The task: prompts, and parsing of answers."""
        return self.data.task

    @property
    def splits(self) -> Splits:
        """The task's questions."""
        return self.data.splits

    @property
    def from_teacher(self) -> bool:
        """Whether it trains and validates on the teacher's labels instead of gold labels."""
        return self.settings.rationales.labels == "teacher"

    @cached_property
    def sampler(self) -> dict[str, Any]:
        """Identity of the sampler of its samples; the key of their store."""
        return sampler_identity(self.settings.teacher, self.task.stop)

    @cached_property
    def answers(self) -> dict[str, Any]:
        """Identity of its teacher's answers; see `ids.answers_identity`."""
        return ids.answers_identity(self.settings.teacher, self.sampler, self.data)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """Everything that its result depends on; see `ids.full_identity`."""
        return ids.full_identity(self.settings, self.data, self.answers if self.samples else None)

    @cached_property
    def id(self) -> str:
        """Fingerprint of its identity; names its folder."""
        return fingerprint(self.identity)

    @cached_property
    def discriminator_id(self) -> str | None:
        """Id of its pretrained discriminator; None if it needs none."""
        if not self.needs_discriminator:
            return None
        return ids.discriminator_id(self.settings, self.data, self.answers)

    def __reduce__(self) -> tuple[Callable[[Cell], ResolvedCell], tuple[Cell]]:
        return resolve, (self.settings,)


def resolve(settings: Cell) -> ResolvedCell:
    """Resolve a cell from its settings. Reads no file. Pickling keeps only the settings.

    Raises:
        ConfigError: if its method is not registered.
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
