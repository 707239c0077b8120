"""The registered tasks. A new one is a new file and one line here."""

from __future__ import annotations

import difflib

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.tasks.anli1 import Anli1
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.tasks.base import Task
from qcrd.tasks.cqa import Cqa
from qcrd.tasks.esnli import Esnli
from qcrd.tasks.own import OwnText, task
from qcrd.tasks.svamp import Svamp

TASKS: dict[str, Task] = {
    "arithmetic": Arithmetic(),
    "svamp": Svamp(),
    "cqa": Cqa(),
    "anli1": Anli1(),
    "esnli": Esnli(),
    "own": OwnText(),  # stands for every kind of label; `of` knows which
}


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
    if name in TASKS:
        return TASKS[name]
    near = difflib.get_close_matches(name, TASKS, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    raise ConfigError(f"task.name: {name!r} is not a task; allowed: {', '.join(sorted(TASKS))}{meant}")
