"""How gold labels name a choice: by text, name, number or letter. Decided once for a whole data set.

One row alone cannot tell: `2` beside the choices 8, 2, 24, 120 is a text, a number from 0 or one from 1.
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
"""Chance below which a set of numbers from 0 does not happen to have no 0 in it."""


@dataclass(frozen=True, slots=True)
class Gold:
    """What a row says its right choice is."""

    label: str
    choices: Choices
    where: str
    whole: bool = False  # whether the file has it as an integer, not as a text

    def place(self, reading: str) -> int | None:
        """The number from 0 of the choice that it names when read so; None where it names none."""
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
    place = int(gold.label[:10]) - first
    return place if 0 <= place < len(gold.choices.texts) else None


def _letter(gold: Gold) -> int | None:
    place = ascii_uppercase.find(gold.label.strip("().").upper() or "?")
    return place if len(gold.label.strip("().")) == 1 and 0 <= place < len(gold.choices.texts) else None


READINGS: dict[str, Callable[[Gold], int | None]] = {
    "text": _text,
    "key": _key,
    "index0": lambda gold: _number(gold, 0),
    "index1": lambda gold: _number(gold, 1),
    "letter": _letter,
}
"""What `task.own.label_is` may be."""
_MEANS = {
    "text": "the choice's text",
    "key": "the choice's name in the source",
    "index0": "its number from 0",
    "index1": "its number from 1",
    "letter": "its letter",
}


def decide(golds: Sequence[Gold], said: str | None, bearable: float) -> str:
    """The one reading of all labels of a set.

    What the source calls its choices counts before everything but their texts; integers are numbers, unless
    the choices are numbers too; numbers begin with 0, unless that does not fit or is unlikely.

    Args:
        golds: of all rows.
        said: `task.own.label_is`.
        bearable: share of the rows that a reading need not fit.

    Raises:
        DataError: where several readings fit and give some row different choices; names both.
    """
    if said is not None:
        return said
    misfits = {reading: sum(gold.place(reading) is None for gold in golds) for reading in READINGS}
    fitting = [reading for reading in READINGS if misfits[reading] <= bearable * len(golds)]
    if "key" in fitting:
        fitting = [reading for reading in fitting if reading in ("text", "key")]
    elif all(gold.whole and not gold.choices.numbers for gold in golds):
        fitting = [reading for reading in fitting if reading.startswith("index")] or fitting
    if {"index0", "index1"} <= set(fitting):
        if misfits["index0"] != misfits["index1"]:
            fitting.remove(max("index0", "index1", key=misfits.__getitem__))
        elif _none_is_chance(golds):
            fitting.remove("index1")
    for other in fitting[1:]:
        for gold in golds:
            here, there = gold.place(fitting[0]), gold.place(other)
            if here is not None and there is not None and here != there:
                raise DataError(_ambiguous(gold, {fitting[0]: here, other: there}))
    return fitting[0] if fitting else min(misfits, key=misfits.__getitem__)


def allowed(reading: str, choices: Choices) -> str:
    """For messages: what a label of that reading may be."""
    last = len(choices.texts)
    return {
        "text": f"one of {', '.join(map(repr, choices.texts))}",
        "key": f"one of {', '.join(map(repr, choices.keys)) or 'the names in task.own.keys'}",
        "index0": f"a number from 0 to {last - 1}",
        "index1": f"a number from 1 to {last}",
        "letter": f"a letter from A to {ascii_uppercase[last - 1]}" if last <= 26 else "a letter",
    }[reading]


def _none_is_chance(golds: Sequence[Gold]) -> bool:
    """Whether the set is so small that labels that are numbers from 0 may just happen to be never 0."""
    return math.fsum(math.log1p(-1 / len(gold.choices.texts)) for gold in golds) > math.log(UNLIKELY)


def _ambiguous(gold: Gold, places: Mapping[str, int]) -> str:
    """What to say of a label that two readings give different choices, whose numbers are `places`."""
    first, second = places
    named = [
        f"{reading} ({_MEANS[reading]}: {gold.choices.texts[place]!r})" for reading, place in places.items()
    ]
    beside = ", ".join(map(repr, gold.choices.texts))
    return (
        f"task.own.label: all labels can be read as {named[0]} or as {named[1]}, which differ: {gold.where} "
        f"has {gold.label!r} beside {beside}; set task.own.label_is: {first} or {second}"
    )
