"""What a plugin adds to the reading of answers: cues of its own, and changes to the text before it is read.

A grid names them in `task.cues` and `task.normalisers`; docs/reading.md has an example.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from qcrd.registry import Registry


@dataclass(frozen=True, slots=True)
class CuePattern:
    """A cue: a regular expression for what announces a label; the label begins where the match ends."""

    name: str
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True)
class Normaliser:
    """A change to an answer's text before it is read. It must not raise, whatever a model wrote."""

    name: str
    apply: Callable[[str], str]


CUES: Registry[CuePattern] = Registry("task.cues", CuePattern, ())
NORMALISERS: Registry[Normaliser] = Registry("task.normalisers", Normaliser, ())
