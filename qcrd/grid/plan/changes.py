"""Changes of a grid from the command line: other settings, and a limit for a short trial."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from qcrd.config import Cell


@dataclass(frozen=True, slots=True)
class Changes:
    """What the command line changes in a grid. Changed cells have ids of their own."""

    settings: tuple[str, ...] = ()
    """KEY=VALUE each (`Source.change`)."""
    limit: int | None = None
    """Maximum number of questions of each split, and of steps; None: as in the grid."""

    def limited(self, cell: Cell) -> Cell:
        """A cell with the limit applied; its warm-up shrinks with its steps."""
        if self.limit is None:
            return cell
        training, steps = cell.training, min(cell.training.steps, self.limit)
        sizes = {name: self._bounded(getattr(cell.task, name)) for name in ("train", "validation", "test")}
        pretraining = min(cell.discriminator.pretrain_steps, self.limit)
        warmup = training.warmup * steps // training.steps
        return cell.model_copy(
            update={
                "task": cell.task.model_copy(update=sizes),
                "training": training.model_copy(update={"steps": steps, "warmup": warmup}),
                "discriminator": cell.discriminator.model_copy(update={"pretrain_steps": pretraining}),
            }
        )

    def _bounded(self, size: int | None) -> int | None:
        return self.limit if size is None or self.limit is None else min(size, self.limit)

    def __str__(self) -> str:
        return shlex.join(self._words())

    def _words(self) -> Iterator[str]:
        for setting in self.settings:
            yield from ("--set", setting)
        if self.limit is not None:
            yield from ("--limit", str(self.limit))


NO_CHANGES = Changes()
