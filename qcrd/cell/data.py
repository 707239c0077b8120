"""The data of a task: its questions, what the teacher is asked about them, and fingerprints of both.

Every cell of a task shares one `TaskData`. It loads the questions when they are first needed; a process keeps
the splits of the last few tasks only.
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

LOADED = 8  # tasks whose splits are in memory at once
SHARED = 64  # tasks whose fingerprints are kept


@dataclass(frozen=True)
class TaskData:
    """A task and its questions. Nothing is read before it is asked for.

    All properties raise what `Task.load` and `tasks.of` raise: DataError, ConfigError.
    """

    settings: config.Task

    @cached_property
    def task(self) -> Task:
        """How questions are asked and answers are read."""
        return tasks.of(self.settings)

    @property
    def splits(self) -> Splits:
        """The questions."""
        return _loaded(self).splits

    @property
    def commit(self) -> str | None:
        """The Hub's commit that the questions were read from, None where they are from elsewhere."""
        return ", ".join(_loaded(self).commits) or None

    @cached_property
    def fingerprint(self) -> str:
        """Short id of the questions of all splits."""
        return self.splits.fingerprint()

    @cached_property
    def prompt(self) -> Callable[[Question], Prompt]:
        """What the teacher is asked, with the user's instructions and examples where there are any."""
        path = self.settings.prompt
        return partial(self.task.prompt, shots=shots.read(path) if path else None)

    @cached_property
    def prompts_fingerprint(self) -> str:
        """Short id of the prompts of the training and validation questions."""
        splits = self.splits
        return fingerprint_each(self.prompt(q).text for q in (*splits.train, *splits.validation))

    @cached_property
    def duals_fingerprint(self) -> str:
        """Short id of how the teacher is asked for dual rationales."""
        return prompted_duals.prompts_fingerprint(self.task, self.splits.train[0])


class _Loaded(NamedTuple):
    splits: Splits
    commits: tuple[str, ...]


@lru_cache(maxsize=SHARED)
def task_data(settings: config.Task) -> TaskData:
    """The process's one `TaskData` of these settings."""
    return TaskData(settings)


@lru_cache(maxsize=LOADED)
def _loaded(data: TaskData) -> _Loaded:
    with noted_commits() as commits:
        splits = data.task.load(data.settings)
    return _Loaded(splits, tuple(commits))


def forget() -> None:
    """Drop everything that this process has loaded, as where a task changed under its name (tests)."""
    task_data.cache_clear()
    _loaded.cache_clear()


def without_gold(question: Question) -> Question:
    """The question as training on the teacher's labels sees it."""
    return replace(question, label="", rationale=None, also=())
