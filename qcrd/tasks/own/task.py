"""The task of an own data set: its rows as questions, and how answers to them are read and compared."""

from __future__ import annotations

import logging
import random
import re
from abc import abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import equations
from qcrd.tasks.base import Task
from qcrd.tasks.choices import ChoiceTask, normal
from qcrd.tasks.cqa import listed
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.own import fields, files
from qcrd.tasks.own.fields import Choices, Fault
from qcrd.tasks.own.formats import Number, Row
from qcrd.tasks.own.labels import Gold, allowed, decide
from qcrd.tasks.reading import AnswerReader, EquationTask
from qcrd.tasks.shots import Shots
from qcrd.tasks.shots import own as project_prompt
from qcrd.tasks.text import TextTask
from qcrd.types import Parsed, Prompt, Question, Splits

log = logging.getLogger(__name__)

HELD_OUT = 10  # one in so many training questions is held out where a split is missing
_CALCULATION = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A row taken apart, before it is known how its label is to be read."""

    question: Question  # without label
    labels: tuple[str, ...]  # the right answers as the file has them
    where: str
    choices: Choices
    whole: bool  # whether the label is an integer of the file, not a text

    @property
    def gold(self) -> Gold:
        return Gold(self.labels[0], self.choices, self.where, self.whole)


class OwnTask(AnswerReader):
    """What own data sets have in common, whatever their labels."""

    name = "own"
    stop = ("\nQ:",)
    instructions: str  # file in tasks/prompts
    allowed: str  # what a label may be, for messages

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads `config.source` as `config.own` describes it.

        Raises:
            DataError: where the data is absent, lacks a field, or more rows than `config.own.drop` cannot be
                questions.
        """
        own = config.own
        faults: list[Fault] = []
        drafts = {
            split: list(self._drafts(own, split, rows, faults)) for split, rows in files.rows(config).items()
        }
        total = sum(map(len, drafts.values())) + len(faults)
        found: dict[str, list[Question]] = {split: [] for split in drafts}
        if any(drafts.values()):
            reading = self.label_is(own, [draft.gold for each in drafts.values() for draft in each])
            for split, each in drafts.items():
                for draft in each:
                    try:
                        found[split].append(self._question(draft, reading))
                    except Fault as fault:
                        faults.append(fault)
        _bear(faults, total, own.drop)
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

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """As the kind of label is read; any of several right answers is the same answer."""
        parsed = super().parse(text, question, finish_reason)
        if parsed.label is None or not question.also:
            return parsed
        return replace(parsed, answer=self.answer(parsed.label, question))

    def answer(self, label: str, question: Question) -> str | None:
        """As the kind of label is compared; any of several right answers is the same answer."""
        found = self.one_answer(label, question)
        if found is not None and any(found == self.one_answer(other, question) for other in question.also):
            return self.one_answer(question.label, question)
        return found

    @abstractmethod
    def one_answer(self, label: str, question: Question) -> str | None:
        """The same as if there were one right answer only."""
        raise NotImplementedError

    def label_is(self, own: config.Own, golds: Sequence[Gold]) -> str:
        """How all labels of the set are to be read."""
        return "text"

    @abstractmethod
    def label(self, gold: Gold, reading: str) -> str | None:
        """A label in the form that is trained on; None where it is not of its kind."""
        raise NotImplementedError

    def _drafts(
        self, own: config.Own, split: str, rows: Sequence[Row], faults: list[Fault]
    ) -> Iterator[_Draft]:
        """The rows taken apart; those that cannot be are added to `faults`."""
        for number, row in enumerate(rows):
            try:
                yield self._draft(own, f"own-{split}-{number}", row)
            except Fault as fault:
                faults.append(fault)

    def _draft(self, own: config.Own, name: str, row: Row) -> _Draft:
        parts = (own.question,) if isinstance(own.question, str) else own.question
        text = "\n".join(fields.question(row, field) for field in parts)
        choices = fields.choices(own, row)
        if isinstance(own.choices, str):
            text = listed(text, choices.texts)
        labels = fields.texts(row, own.label, "label")
        if own.kind == "choice" and len(labels) > 1:
            raise Fault(
                f"task.own.label: {row.where} has {len(labels)} texts in {own.label!r}; a choice has one "
                "right answer"
            )
        cut = [_around(own, label, row.where) for label in labels]
        rationale = ""
        if own.rationale == own.label and own.label_after is not None:
            rationale = _CALCULATION.sub("", cut[0][0])
        elif own.rationale is not None:
            rationale = fields.one_text(row, own.rationale, "rationale", empty=True)
        if own.id is not None:
            name = fields.one_text(row, own.id, "id")
        question = Question(name, text, "", choices.texts, fields.line(rationale) or None)
        lines = tuple(fields.line(label) for _, label in cut)
        return _Draft(question, lines, row.where, choices, _whole(fields.value(row, own.label, "label")))

    def _question(self, draft: _Draft, reading: str) -> Question:
        found = [
            label
            for text in draft.labels
            if (label := self.label(replace(draft.gold, label=text), reading)) is not None
        ]
        # What a teacher cannot be read to have answered is nothing to train on, but right where written.
        first = next((label for label in found if self._readable(label, draft.question)), None)
        if first is None:
            raise Fault(
                f"task.own.label: {draft.where} has {', '.join(map(repr, draft.labels))}; allowed: "
                f"{self.allowed or allowed(reading, draft.choices)}"
            )
        question = replace(draft.question, label=first)
        seen = {self.answer(first, question): first}
        for label in found:
            seen.setdefault(self.answer(label, question), label)
        return replace(question, also=tuple(label for label in seen.values() if label != first))

    def _readable(self, label: str, question: Question) -> bool:
        """Whether the label is read back out of an answer that gives it."""
        read = self.parse(self.target("", label), replace(question, label=label)).label
        return normal(label) == normal(read or "")


class OwnChoice(OwnTask, ChoiceTask):
    """Labels that are choices, listed with each question or the same for all."""

    allowed = ""

    def __init__(self, lettered: bool):
        self.lettered = lettered
        self.instructions = "own-choices.txt" if lettered else "own-labels.txt"

    def default(self, question: Question) -> Shots:
        """Where the question does not list the choices, the instructions do."""
        shots = super().default(question)
        if self.lettered:
            return shots
        return Shots(f"{shots.system} The answer is one of: {', '.join(question.choices)}.")

    def label_is(self, own: config.Own, golds: Sequence[Gold]) -> str:
        """By text, name, number or letter: see `labels.decide`."""
        return decide(golds, own.label_is, own.drop)

    def label(self, gold: Gold, reading: str) -> str | None:
        """The choice that is named."""
        place = gold.place(reading)
        return None if place is None else gold.choices.texts[place]

    def one_answer(self, label: str, question: Question) -> str | None:
        """As a choice."""
        return ChoiceTask.answer(self, label, question)


class OwnEquation(OwnTask, EquationTask):
    """Labels that are numbers or equations."""

    instructions = "own-equation.txt"
    allowed = "an equation such as (3 + 4) * 2, or a number"

    def label(self, gold: Gold, reading: str) -> str | None:
        """The equation's normal form."""
        return equations.normal(gold.label)

    def one_answer(self, label: str, question: Question) -> str | None:
        """As an equation."""
        return EquationTask.answer(self, label, question)


class OwnText(OwnTask, TextTask):
    """Labels that are short texts."""

    instructions = "own-text.txt"
    allowed = "a text without a full stop or line break in it, up to 200 characters"

    def label(self, gold: Gold, reading: str) -> str | None:
        """The text as it is."""
        return gold.label if normal(gold.label) else None

    def one_answer(self, label: str, question: Question) -> str | None:
        """As a text."""
        return TextTask.answer(self, label, question)


@lru_cache(maxsize=8)
def task(own: config.Own) -> Task:
    """The task for data described so."""
    if own.kind == "choice":
        return OwnChoice(lettered=isinstance(own.choices, str))
    return OwnEquation() if own.kind == "equation" else OwnText()


def _around(own: config.Own, text: str, where: str) -> tuple[str, str]:
    """What stands before the label in its field, and the label: between two marks where they are given."""
    before = ""
    for setting in ("label_after", "label_before"):
        mark = getattr(own, setting)
        if mark is not None and mark in text:
            if text.count(mark) > 1:
                raise Fault(
                    f"task.own.{setting}: {where} has {mark!r} {text.count(mark)} times in {own.label!r}; "
                    "expected it once"
                )
            first, _, second = text.partition(mark)
            before, text = (first, second) if setting == "label_after" else (before, first)
    return before, text


def _whole(found: Any) -> bool:
    while isinstance(found, list) and len(found) == 1:
        found = found[0]
    return isinstance(found, Number) and found.whole


def _bear(faults: Sequence[Fault], total: int, share: float) -> None:
    """Leave out the rows that cannot be questions, unless they are too many."""
    if not faults:
        return
    counted = f"{len(faults)} of {total} rows cannot be questions"
    if len(faults) > share * total or len(faults) == total:
        raise DataError(
            f"{faults[0]} ({counted}; task.own.drop, now {share:g}, is the largest share of them that may be "
            "left out)"
        )
    log.warning("own data: %s and are left out; the first: %s", counted, faults[0])


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
