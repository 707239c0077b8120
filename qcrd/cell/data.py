"""A task's data: its questions, the teacher's prompts, and fingerprints of both.

The cells of a task share one `TaskData`, which loads questions on first access. A process keeps only the
splits of the most recently used tasks in memory.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache, partial
from typing import NamedTuple

from qcrd import config, tasks
from qcrd.fingerprint import fingerprint_each
from qcrd.rationales import prompted_duals
from qcrd.tasks import shots
from qcrd.tasks.base import Task
from qcrd.tasks.sources import noted_commits
from qcrd.types import Prompt, Question, Splits

MAX_LOADED_TASKS = 8  # tasks whose splits are in memory
MAX_TASKS = 64  # tasks whose `TaskData` is kept


@dataclass(frozen=True)
class TaskData:
    """A task and its questions; files are read on first access.

    All properties raise DataError and ConfigError like `Task.load` and `tasks.of`.
    """

    settings: config.Task

    @cached_property
    def task(self) -> Task:
        """The task: prompts, and parsing of answers."""
        return tasks.of(self.settings)

    @property
    def splits(self) -> Splits:
        """The questions of all splits."""
        return _load(self).splits

    @property
    def commit(self) -> str | None:
        """The Hub commit of the questions; None if they are not from the Hub."""
        return ", ".join(_load(self).commits) or None

    @cached_property
    def fingerprint(self) -> str:
        """Short id of the questions of all splits."""
        return self.splits.fingerprint()

    @cached_property
    def prompt(self) -> Callable[[Question], Prompt]:
        """The teacher's prompt for a question, with the user's instructions and examples if set."""
        path = self.settings.prompt
        return partial(self.task.prompt, shots=shots.read(path) if path else None)

    @cached_property
    def prompts_fingerprint(self) -> str:
        """Short id of the prompts of the training and validation questions."""
        splits = self.splits
        return fingerprint_each(self.prompt(q).text for q in (*splits.train, *splits.validation))

    @cached_property
    def duals_fingerprint(self) -> str:
        """Short id of the prompts for dual rationales."""
        return prompted_duals.prompts_fingerprint(self.task, self.splits.train[0])


class _LoadedTask(NamedTuple):
    splits: Splits
    commits: tuple[str, ...]


@lru_cache(maxsize=MAX_TASKS)
def task_data(settings: config.Task) -> TaskData:
    """The `TaskData` of these settings, shared in this process."""
    return TaskData(settings)


@lru_cache(maxsize=MAX_LOADED_TASKS)
def _load(data: TaskData) -> _LoadedTask:
    with noted_commits() as commits:
        splits = data.task.load(data.settings)
    return _LoadedTask(splits, tuple(commits))


def clear_caches() -> None:
    """Clear all caches of this module, for tests that change a task."""
    task_data.cache_clear()
    _load.cache_clear()


def without_gold(question: Question) -> Question:
    """The question without gold label and rationale, for training on the teacher's labels."""
    return replace(question, label="", rationale=None, also=())
