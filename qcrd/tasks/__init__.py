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

# OwnText represents custom data sets of every kind of label; `of` selects the class.
TASKS: Registry[Task] = Registry(
    "task.name", Task, (Arithmetic(), Svamp(), Gsm8k(), Cqa(), Anli1(), Esnli(), OwnText())
)


def of(section: config.Task) -> Task:
    """The task of a configuration, with its settings for parsing answers.

    Raises:
        ConfigError: as `get`; if a plugin's task parses answers itself and ignores these settings; or if a
            cue or normaliser is not registered.
    """
    selected = task(section.own) if section.name == "own" else get(section.name)
    reading = Reading(section.uncued, section.thinking, section.cues, section.normalisers)
    if reading == Reading():
        return selected
    if not isinstance(selected, AnswerReader):
        raise ConfigError(
            f"task: {section.name!r} reads answers in its own way, so that task.uncued, task.thinking, "
            "task.cues and task.normalisers change nothing; remove them"
        )
    if section.uncued == "last" and selected.kind == "text":
        raise ConfigError(
            "task.uncued: value 'last', but a label in free text has no last number or choice to be read by; "
            "allowed: refuse"
        )
    for registry, names in ((CUES, section.cues), (NORMALISERS, section.normalisers)):
        for name in names:
            registry[name]  # raises if it is not registered
    selected = copy(selected)
    selected.reading = reading
    return selected


def get(name: str) -> Task:
    """The task registered as `name`.

    Raises:
        ConfigError: if the name is not registered; lists the registered ones and suggests a similar one.
    """
    return TASKS[name]
