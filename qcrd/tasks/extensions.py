"""Extensions of answer parsing by plugins: additional cues, and normalisers applied before parsing.

Grids select them by `task.cues` and `task.normalisers`; docs/reading.md has an example.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from qcrd.registry import Registry


@dataclass(frozen=True, slots=True)
class CuePattern:
    """A regular expression for a cue; the label begins where the match ends."""

    name: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A transformation of an answer's text before parsing. It must not raise for any text."""

    name: str
    apply: Callable[[str], str]


CUES: Registry[CuePattern] = Registry("task.cues", CuePattern, ())
NORMALISERS: Registry[Normaliser] = Registry("task.normalisers", Normaliser, ())
