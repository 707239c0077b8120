"""The registered tasks. A new one is a new file and one line here."""

from __future__ import annotations

import difflib

from qcrd.errors import ConfigError
from qcrd.tasks.anli1 import Anli1
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.tasks.base import Task
from qcrd.tasks.cqa import Cqa
from qcrd.tasks.esnli import Esnli
from qcrd.tasks.svamp import Svamp

TASKS: dict[str, Task] = {
    "arithmetic": Arithmetic(),
    "svamp": Svamp(),
    "cqa": Cqa(),
    "anli1": Anli1(),
    "esnli": Esnli(),
}


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
