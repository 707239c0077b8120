"""The registered tasks."""

from __future__ import annotations

from copy import copy

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.registry import Registry
from qcrd.tasks.anli1 import Anli1
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.tasks.base import Task
from qcrd.tasks.cqa import Cqa
from qcrd.tasks.esnli import Esnli
from qcrd.tasks.extensions import CUES, NORMALISERS
from qcrd.tasks.gsm8k import Gsm8k
from qcrd.tasks.own import OwnText, task
from qcrd.tasks.reading import AnswerReader, Reading
from qcrd.tasks.svamp import Svamp

# OwnText stands for every kind of label; `of` knows which.
TASKS: Registry[Task] = Registry(
    "task.name", Task, (Arithmetic(), Svamp(), Gsm8k(), Cqa(), Anli1(), Esnli(), OwnText())
)


def of(section: config.Task) -> Task:
    """The task that a configuration means, with its settings of how answers are read.

    Raises:
        ConfigError: as `get`; where a plugin's task has a reader of its own, which no setting changes; or
            where a cue or normaliser is named that nobody registered.
    """
    found = task(section.own) if section.name == "own" else get(section.name)
    reading = Reading(section.uncued, section.thinking, section.cues, section.normalisers)
    if reading == Reading():
        return found
    if not isinstance(found, AnswerReader):
        raise ConfigError(
            f"task: {section.name!r} reads answers in its own way, so that task.uncued, task.thinking, "
            "task.cues and task.normalisers change nothing; remove them"
        )
    if section.uncued == "last" and found.kind == "text":
        raise ConfigError(
            "task.uncued: value 'last', but a label in free text has no last number or choice to be read by; "
            "allowed: refuse"
        )
    for registry, names in ((CUES, section.cues), (NORMALISERS, section.normalisers)):
        for name in names:
            registry[name]  # raises where it is not there
    found = copy(found)
    found.reading = reading
    return found


def get(name: str) -> Task:
    """The task registered as `name`.

    Raises:
        ConfigError: for a name that is not registered; says which are, and which may have been meant.
    """
    return TASKS[name]
