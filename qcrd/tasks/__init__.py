"""The registered tasks."""

from __future__ import annotations

from qcrd import config
from qcrd.registry import Registry
from qcrd.tasks.anli1 import Anli1
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.tasks.base import Task
from qcrd.tasks.cqa import Cqa
from qcrd.tasks.esnli import Esnli
from qcrd.tasks.own import OwnText, task
from qcrd.tasks.svamp import Svamp

# OwnText stands for every kind of label; `of` knows which.
TASKS: Registry[Task] = Registry(
    "task.name", Task, (Arithmetic(), Svamp(), Cqa(), Anli1(), Esnli(), OwnText())
)


def of(section: config.Task) -> Task:
    """The task that a configuration means; an own data set's depends on more than its name.

    Raises:
        ConfigError: as `get`.
    """
    return task(section.own) if section.name == "own" else get(section.name)


def get(name: str) -> Task:
    """The task registered as `name`.

    Raises:
        ConfigError: for a name that is not registered; says which are, and which may have been meant.
    """
    return TASKS[name]
