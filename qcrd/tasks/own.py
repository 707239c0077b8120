"""A user's own data set, described in YAML alone: JSON lines, JSON, CSV or Parquet, or a Hub id.

`config.Own` says which fields hold what; docs/own-data.md has a worked example.
"""

from __future__ import annotations

import difflib
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from qcrd import config
from qcrd.errors import DataError
from qcrd.places import replaced
from qcrd.tasks import equations
from qcrd.tasks.base import Task
from qcrd.tasks.choices import ChoiceTask, normal
from qcrd.tasks.cqa import listed
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.reading import EquationTask
from qcrd.tasks.shots import Shots
from qcrd.tasks.shots import own as project_prompt
from qcrd.tasks.sources import Rows
from qcrd.tasks.text import TextTask
from qcrd.types import Prompt, Question, Splits

FORMATS = {".jsonl": "json", ".json": "json", ".csv": "csv", ".parquet": "parquet"}
SPLITS = ("train", "validation", "test")
HELD_OUT = 10  # one in so many training questions is held out where a split is missing
_MISSING = object()


class OwnTask:
    """What own data sets have in common, whatever their labels."""

    name = "own"
    stop = ("\nQ:",)
    instructions: str  # file in tasks/prompts

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads `config.source` as `config.own` describes it.

        Raises:
            DataError: where the data is absent, lacks a field, or a label is not of its kind.
        """
        rows = _rows(config)
        found = {
            split: [self._question(config.own, split, i, row) for i, row in enumerate(rows[name])]
            for split, name in _names(config.own, rows).items()
        }
        _unique(found)
        train = found["train"]
        if "test" not in found:
            random.Random(f"{config.seed} test").shuffle(train)
            held = config.test or max(1, len(train) // HELD_OUT)
            train, found["test"] = train[held:], train[:held]
        validation = found.get("validation")
        held = max(1, len(train) // HELD_OUT) if validation is None else len(validation)
        sizes = Sizes(len(train), held, len(found["test"]), papers=False)
        return deal(self.name, sizes, config, train, found["test"], validation)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """The user's instructions and examples, or the project's for such labels; then the question."""
        shots = shots or self.default(question)
        return Prompt(question.text, shots.system, shots.examples)

    def default(self, question: Question) -> Shots:
        """Instructions where the user gives none."""
        return project_prompt(self.instructions)

    def label(self, value: str, choices: tuple[str, ...]) -> str | None:
        """A label in the form that is trained on; None where it is not of its kind."""
        raise NotImplementedError

    def _question(self, own: config.Own, split: str, number: int, row: dict[str, Any]) -> Question:
        where = f"row {number} of the {split} split"
        fields = (own.question,) if isinstance(own.question, str) else own.question
        parts = [_text(row, field, "question", where) for field in fields]
        choices = _choices(own, row, where)
        value = _value(row, own.label, "label", where)
        label = self.label(_label(value), choices)
        if label is None or normal(label) != normal(self._read_back(label, choices)):
            allowed = {
                "choice": f"one of {', '.join(map(repr, choices))}, its number from 0 or its letter",
                "equation": "an equation such as (3 + 4) * 2, or a number",
                "text": "a text without a full stop or line break in it, up to 200 characters",
            }[own.kind]
            raise DataError(f"task.own.label: {where} has {value!r}; allowed: {allowed}")
        text = "\n".join(parts)
        if isinstance(own.choices, str):
            text = listed(text, choices)
        rationale = _text(row, own.rationale, "rationale", where, empty=True) if own.rationale else None
        name = f"own-{split}-{number}"
        if own.id:
            name = str(_value(row, own.id, "id", where))
        return Question(name, text, label, choices, rationale or None)

    def _read_back(self, label: str, choices: tuple[str, ...]) -> str:
        """What is read of the label in an answer: it must be possible to answer rightly."""
        return self.parse(self.target("", label), Question("", "", label, choices)).label or ""


class OwnChoice(OwnTask, ChoiceTask):
    """Labels that are choices, listed with each question or the same for all."""

    def __init__(self, lettered: bool):
        self.lettered = lettered
        self.instructions = "own-choices.txt" if lettered else "own-labels.txt"

    def default(self, question: Question) -> Shots:
        """Where the question does not list the choices, the instructions do."""
        shots = super().default(question)
        if self.lettered:
            return shots
        return Shots(f"{shots.system} The answer is one of: {', '.join(question.choices)}.")

    def label(self, value: str, choices: tuple[str, ...]) -> str | None:
        """The choice of that text, or else of that number from 0, or of that letter."""
        same = [choice for choice in choices if normal(choice) == normal(value)]
        if same:
            return same[0]
        if value.isdecimal():
            place = int(value)
        else:
            place = ascii_uppercase.find(value.upper()) if len(value) == 1 else -1
        return choices[place] if 0 <= place < len(choices) else None


class OwnEquation(OwnTask, EquationTask):
    """Labels that are numbers or equations."""

    instructions = "own-equation.txt"

    def label(self, value: str, choices: tuple[str, ...]) -> str | None:
        """The equation's normal form."""
        return equations.normal(value)


class OwnText(OwnTask, TextTask):
    """Labels that are short texts."""

    instructions = "own-text.txt"

    def label(self, value: str, choices: tuple[str, ...]) -> str | None:
        """The text as it is."""
        return value or None


@lru_cache(maxsize=8)
def task(own: config.Own) -> Task:
    """The task for data described so."""
    if own.kind == "choice":
        return OwnChoice(lettered=isinstance(own.choices, str))
    return OwnEquation() if own.kind == "equation" else OwnText()


def _rows(config: config.Task) -> Rows:
    """The rows of every split that `datasets` finds, by its names."""
    import datasets

    place = Path(replaced(config.source))
    if place.suffix in FORMATS and not place.exists():
        raise DataError(f"task.source: {config.source!r}, but there is no such file")
    try:
        if place.is_file() and place.suffix not in FORMATS:
            raise DataError(
                f"task.source: {config.source!r} ends in {place.suffix!r}; allowed: {', '.join(FORMATS)}, a "
                "folder of such files named after their splits (train.jsonl, ...), or a Hub id"
            )
        if place.is_file():
            loaded = datasets.load_dataset(FORMATS[place.suffix], data_files=str(place))
        else:
            loaded = datasets.load_dataset(
                replaced(config.source), config.own.subset, revision=config.own.revision
            )
    except DataError:
        raise
    except Exception as error:  # the library raises many kinds, of connections and of formats
        raise DataError(
            f"task.source: {config.source!r} could not be loaded ({type(error).__name__}: {error}); give a "
            f"file ({', '.join(FORMATS)}), a folder of such files named after their splits, or a Hub id "
            "(without a connection: a folder with a copy of it)"
        ) from error
    return {name: rows.to_list() for name, rows in loaded.items()}


def _names(own: config.Own, rows: Rows) -> dict[str, str]:
    """Our splits with the source's names for them; without those that are to be held out."""
    found = {}
    for split in SPLITS:
        said = getattr(own, f"{split}_split")
        if said is not None and said not in rows:
            raise DataError(
                f"task.own.{split}_split: the source has no {said!r}; it has: {', '.join(rows)}"
                + _meant(said, rows)
            )
        name = said or (split if split in rows else None)
        if name is not None:
            found[split] = name
    taken = list(found.values())
    if len(set(taken)) < len(taken):
        raise DataError(
            f"task.own: two splits are the same ({found}); give each its own, or null to hold it out"
        )
    return found


def _unique(found: dict[str, list[Question]]) -> None:
    seen: dict[str, str] = {}
    for split, questions in found.items():
        for question in questions:
            if question.id in seen:
                raise DataError(
                    f"task.own.id: {question.id!r} is there twice ({seen[question.id]}, {split}); name a "
                    "field that tells all questions of all splits apart, or leave task.own.id out"
                )
            seen[question.id] = split


def _choices(own: config.Own, row: dict[str, Any], where: str) -> tuple[str, ...]:
    if own.choices is None or not isinstance(own.choices, str):
        return own.choices or ()
    found = _value(row, own.choices, "choices", where)
    if not isinstance(found, list) or len(found) < 2:
        raise DataError(f"task.own.choices: {where} has {found!r}; expected a list of at least two texts")
    return tuple(" ".join(str(choice).split()) for choice in found)


def _text(row: dict[str, Any], field: str, setting: str, where: str, *, empty: bool = False) -> str:
    value = _value(row, field, setting, where, empty=empty)
    return " ".join(str(value).split()) if value is not None else ""


def _label(value: Any) -> str:
    """42.0, as a table writes a whole number, is 42."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return " ".join(str(value).split())


def _value(row: dict[str, Any], field: str, setting: str, where: str, *, empty: bool = False) -> Any:
    """What a row has in a field; dots go into nested ones."""
    value: Any = row
    for part in field.split("."):
        inner = value.get(part, _MISSING) if isinstance(value, dict) else _MISSING
        if inner is _MISSING:
            known = list(value) if isinstance(value, dict) else []
            raise DataError(
                f"task.own.{setting}: {where} has no field {field!r}; it has: {', '.join(known) or 'none'}"
                + _meant(part, known)
            )
        value = inner
    if not empty and (value is None or value == ""):
        raise DataError(f"task.own.{setting}: {where} has nothing in {field!r}; fill it or leave the row out")
    return value


def _meant(word: str, known: Sequence[str] | Rows) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""
