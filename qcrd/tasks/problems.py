"""Templates of the word problems that the arithmetic task generates.

Placeholders: {A} and {B} are people, {He} is the pronoun of A, {o} the counted objects, {box} and {boxes} a
container, {got} {get} and {lost} {lose} a verb in past and base form, {x} {y} {z} numbers. The vocabulary is
closed: it consists of the templates and the fillers below. Rationales name the operations and the relevant
numbers, but no intermediate results, which a small teacher seldom gets right.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

PEOPLE = (
    ("Tom", "He"),
    ("Ann", "She"),
    ("Ben", "He"),
    ("Mia", "She"),
    ("Sam", "He"),
    ("Eva", "She"),
    ("Leo", "He"),
    ("Zoe", "She"),
    ("Max", "He"),
    ("Ida", "She"),
)
OBJECTS = ("apples", "pens", "books", "shells", "coins", "cards", "stamps", "marbles", "cookies", "beads")
CONTAINERS = (
    ("box", "boxes"),
    ("bag", "bags"),
    ("jar", "jars"),
    ("basket", "baskets"),
    ("drawer", "drawers"),
    ("tin", "tins"),
)
GAINS = (("found", "find"), ("bought", "buy"), ("won", "win"))
LOSSES = (("lost", "lose"), ("sold", "sell"), ("used", "use"))


@dataclass(frozen=True, slots=True)
class Kind:
    """Template of one kind of problem."""

    name: str
    body: tuple[str, ...]  # sentences before the question; A is the subject of the first
    question: str
    label: str
    rationale: str
    possible: Callable[[int, int, int], bool]  # whether x, y, z give positive integers as results


def _any(x: int, y: int, z: int) -> bool:
    return True


def _less(x: int, y: int, z: int) -> bool:
    return y < x


def _exact(x: int, y: int, z: int) -> bool:
    return y < x and x % y == 0


ONE_STEP = (
    Kind(
        "join",
        ("{A} had {x} {o}.", "{He} {got} {y} more {o}."),
        "How many {o} does {A} have now?",
        "( {x} + {y} )",
        "{A} had {x} {o} and {got} {y} more, so we add {x} and {y}.",
        _any,
    ),
    Kind(
        "separate",
        ("{A} had {x} {o}.", "{He} gave {y} {o} to {B}."),
        "How many {o} does {A} have now?",
        "( {x} - {y} )",
        "{A} had {x} {o} and gave away {y}, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "start before a gain",
        ("{A} had some {o}.", "{He} {got} {y} more {o}.", "Now {A} has {x} {o}."),
        "How many {o} did {A} have at first?",
        "( {x} - {y} )",
        "{A} has {x} {o} after {A} {got} {y}, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "start before a loss",
        ("{A} had some {o}.", "{He} {lost} {x} {o}.", "Now {A} has {y} {o}."),
        "How many {o} did {A} have at first?",
        "( {x} + {y} )",
        "{A} {lost} {x} {o} and {y} are left, so we add {x} and {y}.",
        _any,
    ),
    Kind(
        "change of a gain",
        ("{A} had {y} {o}.", "{He} {got} some more {o}.", "Now {A} has {x} {o}."),
        "How many {o} did {A} {get}?",
        "( {x} - {y} )",
        "{A} has {x} {o} now and had {y} before, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "change of a loss",
        ("{A} had {x} {o}.", "{He} {lost} some {o}.", "Now {A} has {y} {o}."),
        "How many {o} did {A} {lose}?",
        "( {x} - {y} )",
        "{A} had {x} {o} and {y} are left, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "difference",
        ("{A} has {y} {o}.", "{B} has {x} {o}."),
        "How many more {o} does {B} have than {A}?",
        "( {x} - {y} )",
        "{B} has {x} {o} and {A} has {y}, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "more than",
        ("{A} has {x} {o}.", "{B} has {y} more {o} than {A}."),
        "How many {o} does {B} have?",
        "( {x} + {y} )",
        "{B} has {y} more {o} than the {x} of {A}, so we add {x} and {y}.",
        _any,
    ),
    Kind(
        "fewer than",
        ("{A} has {x} {o}.", "{B} has {y} fewer {o} than {A}."),
        "How many {o} does {B} have?",
        "( {x} - {y} )",
        "{B} has {y} fewer {o} than the {x} of {A}, so we subtract {y} from {x}.",
        _less,
    ),
    Kind(
        "equal groups",
        ("{A} has {x} {boxes}.", "Each {box} holds {y} {o}."),
        "How many {o} does {A} have in the {boxes}?",
        "( {x} * {y} )",
        "There are {x} {boxes} with {y} {o} each, so we multiply {x} by {y}.",
        _any,
    ),
    Kind(
        "sharing",
        ("{A} has {x} {o}.", "{He} puts the same number of {o} into each of {y} {boxes}."),
        "How many {o} are in each {box}?",
        "( {x} / {y} )",
        "{x} {o} go into {y} {boxes}, so we divide {x} by {y}.",
        _exact,
    ),
    Kind(
        "grouping",
        ("{A} has {x} {o}.", "{He} puts {y} {o} into each {box}."),
        "How many {boxes} does {A} need?",
        "( {x} / {y} )",
        "Each {box} takes {y} of the {x} {o}, so we divide {x} by {y}.",
        _exact,
    ),
)

TWO_STEP = (
    Kind(
        "separate, join",
        ("{A} had {x} {o}.", "{He} gave {y} {o} to {B}.", "Then {A} {got} {z} more {o}."),
        "How many {o} does {A} have now?",
        "( ( {x} - {y} ) + {z} )",
        "{A} had {x} {o} and gave away {y}, so we subtract {y} from {x}. "
        "Then {A} {got} {z} more, so we add {z}.",
        _less,
    ),
    Kind(
        "join, separate",
        ("{A} had {x} {o}.", "{He} {got} {y} more {o}.", "Then {A} gave {z} {o} to {B}."),
        "How many {o} does {A} have now?",
        "( ( {x} + {y} ) - {z} )",
        "{A} had {x} {o} and {got} {y} more, so we add {x} and {y}. "
        "Then {A} gave away {z}, so we subtract {z}.",
        lambda x, y, z: z < x + y,
    ),
    Kind(
        "groups and more",
        ("{A} has {x} {boxes}.", "Each {box} holds {y} {o}.", "{A} also has {z} more {o} on the table."),
        "How many {o} does {A} have in all?",
        "( ( {x} * {y} ) + {z} )",
        "There are {x} {boxes} with {y} {o} each, so we multiply {x} by {y}. "
        "There are {z} more on the table, so we add {z}.",
        _any,
    ),
    Kind(
        "groups and fewer",
        ("{A} had {x} {boxes}.", "Each {box} held {y} {o}.", "Then {A} {lost} {z} of the {o}."),
        "How many {o} does {A} have now?",
        "( ( {x} * {y} ) - {z} )",
        "There were {x} {boxes} with {y} {o} each, so we multiply {x} by {y}. "
        "Then {A} {lost} {z}, so we subtract {z}.",
        lambda x, y, z: z < x * y,
    ),
    Kind(
        "join, share",
        (
            "{A} had {x} {o}.",
            "{He} {got} {y} more {o}.",
            "Then {A} put the same number of {o} into each of {z} {boxes}.",
        ),
        "How many {o} are in each {box}?",
        "( ( {x} + {y} ) / {z} )",
        "{A} had {x} {o} and {got} {y} more, so we add {x} and {y}. "
        "They go into {z} {boxes}, so we divide by {z}.",
        lambda x, y, z: z < x + y and (x + y) % z == 0,
    ),
    Kind(
        "more than, together",
        ("{A} has {x} {o}.", "{B} has {y} more {o} than {A}."),
        "How many {o} do {A} and {B} have together?",
        "( {x} + ( {x} + {y} ) )",
        "{B} has {y} more {o} than the {x} of {A}, so we add {x} and {y}. {A} has {x}, so we add {x}.",
        _any,
    ),
)


@dataclass(frozen=True, slots=True)
class Aside:
    """An irrelevant sentence with a number {d}; {p} are other objects, {C} is another person."""

    sentence: str
    rationale: str  # is prepended to the problem's rationale
    anywhere: bool  # whether it may be inserted between sentences, where a pronoun for A may follow


ASIDES = (
    Aside("{A} saw {d} {p} in the shop.", "The {d} {p} do not matter.", anywhere=True),
    Aside("{A} is {d} years old.", "The {d} years do not matter.", anywhere=True),
    Aside("{C} has {d} {p}.", "The {d} {p} do not matter.", anywhere=False),
    Aside("There are {d} {p} on the floor.", "The {d} {p} do not matter.", anywhere=False),
)
