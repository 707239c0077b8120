"""Interpretation of gold labels as choices: by text, name, number or letter.

The interpretation is chosen once for a whole data set, because single rows are ambiguous: for the choices 8,
2, 24, 120, the label `2` may be a text, a 0-based or a 1-based number.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_uppercase

from qcrd.errors import DataError
from qcrd.tasks.choices import normal
from qcrd.tasks.own.fields import Choices

UNLIKELY = 1e-3
"""Probability below which the absence of 0 among 0-based numbers is not considered chance."""


@dataclass(frozen=True, slots=True)
class Gold:
    """Gold label of a row, as in the file."""

    label: str
    choices: Choices
    where: str  # file and line
    whole: bool = False  # whether the file has it as an integer, not as a text

    def index(self, reading: str) -> int | None:
        """0-based index of the choice that it names in this interpretation; None if it names none."""
        return READINGS[reading](self)


def _text(gold: Gold) -> int | None:
    texts = gold.choices.texts
    if gold.label in texts:
        return texts.index(gold.label)
    form = normal(gold.label)
    return next((i for i, text in enumerate(texts) if form and normal(text) == form), None)


def _key(gold: Gold) -> int | None:
    keys = gold.choices.keys
    return keys.index(gold.label) if gold.label in keys else None


def _number(gold: Gold, first: int) -> int | None:
    if not (gold.label.isascii() and gold.label.isdecimal()):
        return None
    index = int(gold.label[:10]) - first
    return index if 0 <= index < len(gold.choices.texts) else None


def _letter(gold: Gold) -> int | None:
    index = ascii_uppercase.find(gold.label.strip("().").upper() or "?")
    return index if len(gold.label.strip("().")) == 1 and 0 <= index < len(gold.choices.texts) else None


READINGS: dict[str, Callable[[Gold], int | None]] = {
    "text": _text,
    "key": _key,
    "index0": lambda gold: _number(gold, 0),
    "index1": lambda gold: _number(gold, 1),
    "letter": _letter,
}
"""Interpretations by value of `task.own.label_is`."""
_DESCRIPTIONS = {
    "text": "the choice's text",
    "key": "the choice's name in the source",
    "index0": "its number from 0",
    "index1": "its number from 1",
    "letter": "its letter",
}


def decide(golds: Sequence[Gold], configured: str | None, tolerance: float) -> str:
    """Choose the interpretation for all labels of a data set.

    Names of choices in the source take precedence over numbers and letters. Integers are read as numbers,
    unless the choices are numbers too. Numbers are 0-based, unless that does not fit or is unlikely.

    Args:
        golds: labels of all rows.
        configured: `task.own.label_is`.
        tolerance: share of rows that an interpretation may fail for.

    Raises:
        DataError: if several interpretations fit and give different choices for a row.
    """
    if configured is not None:
        return configured
    misfits = {reading: sum(gold.index(reading) is None for gold in golds) for reading in READINGS}
    fitting = [reading for reading in READINGS if misfits[reading] <= tolerance * len(golds)]
    if "key" in fitting:
        fitting = [reading for reading in fitting if reading in ("text", "key")]
    elif all(gold.whole and not gold.choices.numbers for gold in golds):
        fitting = [reading for reading in fitting if reading.startswith("index")] or fitting
    if {"index0", "index1"} <= set(fitting):
        if misfits["index0"] != misfits["index1"]:
            fitting.remove(max("index0", "index1", key=misfits.__getitem__))
        elif _may_lack_zero(golds):
            fitting.remove("index1")
    for other in fitting[1:]:
        for gold in golds:
            first, second = gold.index(fitting[0]), gold.index(other)
            if first is not None and second is not None and first != second:
                raise DataError(_ambiguous(gold, {fitting[0]: first, other: second}))
    return fitting[0] if fitting else min(misfits, key=misfits.__getitem__)


def allowed(reading: str, choices: Choices) -> str:
    """Labels that are valid in an interpretation, for messages."""
    last = len(choices.texts)
    return {
        "text": f"one of {', '.join(map(repr, choices.texts))}",
        "key": f"one of {', '.join(map(repr, choices.keys)) or 'the names in task.own.keys'}",
        "index0": f"a number from 0 to {last - 1}",
        "index1": f"a number from 1 to {last}",
        "letter": f"a letter from A to {ascii_uppercase[last - 1]}" if last <= 26 else "a letter",
    }[reading]


def _may_lack_zero(golds: Sequence[Gold]) -> bool:
    """Whether the data set is so small that 0-based labels may all differ from 0 by chance."""
    return math.fsum(math.log1p(-1 / len(gold.choices.texts)) for gold in golds) > math.log(UNLIKELY)


def _ambiguous(gold: Gold, indices: Mapping[str, int]) -> str:
    """Message for a label with different choices in two interpretations, whose indices are `indices`."""
    first, second = indices
    named = [
        f"{reading} ({_DESCRIPTIONS[reading]}: {gold.choices.texts[index]!r})"
        for reading, index in indices.items()
    ]
    choices = ", ".join(map(repr, gold.choices.texts))
    return (
        f"task.own.label: all labels can be read as {named[0]} or as {named[1]}, which differ: {gold.where} "
        f"has {gold.label!r} beside {choices}; set task.own.label_is: {first} or {second}"
    )
