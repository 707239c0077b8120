"""Changes of a grid from the command line: other settings, and a limit for a short trial."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache

from qcrd.cell.data import MAX_TASKS, task_data
from qcrd.config import Cell, Task
from qcrd.errors import ConfigError, DataError


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line changes in a grid. Changed cells have ids of their own."""

    settings: tuple[str, ...] = ()
    """KEY=VALUE each (`Source.change`)."""
    limit: int | None = None
    """Maximum number of questions of each split, and of steps; None: as in the grid."""

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise ConfigError(f"limit: value {self.limit}; allowed: whole numbers from 1 up")

    def limited(self, cell: Cell) -> Cell:
        """A cell with the limit applied; its warm-up shrinks with its steps."""
        if self.limit is None:
            return cell
        training, steps = cell.training, min(cell.training.steps, self.limit)
        sizes = _sizes(cell.task, self.limit)
        pretraining = min(cell.discriminator.pretrain_steps, self.limit)
        warmup = training.warmup * steps // training.steps
        return cell.model_copy(
            update={
                "task": cell.task.model_copy(update=sizes),
                "training": training.model_copy(update={"steps": steps, "warmup": warmup}),
                "discriminator": cell.discriminator.model_copy(update={"pretrain_steps": pretraining}),
            }
        )

    def __str__(self) -> str:
        return shlex.join(self._words())

    def _words(self) -> Iterator[str]:
        for setting in self.settings:
            yield from ("--set", setting)
        if self.limit is not None:
            yield from ("--limit", str(self.limit))


NO_CHANGES = Changes()


@lru_cache(maxsize=MAX_TASKS)
def _sizes(task: Task, limit: int) -> dict[str, int]:
    """Sizes of a task's splits within a limit; one that the grid does not say is the data's."""
    sizes = {split: getattr(task, split) for split in ("train", "validation", "test")}
    if None in sizes.values():
        with suppress(DataError, ConfigError):  # raised where the data is needed
            splits = task_data(task).splits
            sizes = {split: len(getattr(splits, split)) for split in sizes}
    return {split: limit if size is None else min(size, limit) for split, size in sizes.items()}
