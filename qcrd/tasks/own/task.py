"""The task of a user's data set: builds questions from rows, and parses and compares answers."""

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
from qcrd.tasks.cqa import with_choices
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.own import fields, files
from qcrd.tasks.own.fields import Choices, InvalidRow
from qcrd.tasks.own.formats import Number, Row
from qcrd.tasks.own.labels import Gold, allowed, decide
from qcrd.tasks.reading import AnswerReader, EquationTask
from qcrd.tasks.shots import Shots, packaged
from qcrd.tasks.text import TextTask
from qcrd.types import Parsed, Prompt, Question, Splits

log = logging.getLogger(__name__)

HELD_OUT = 10  # one in 10 training questions is held out for a missing split
_CALCULATION = re.compile(r"<<[^<>]*>>")


@dataclass(frozen=True, slots=True)
class _Draft:
    """A parsed row, before the interpretation of the labels is chosen."""

    question: Question  # without label
    labels: tuple[str, ...]  # correct answers as in the file
    where: str  # file and line
    choices: Choices
    whole: bool  # whether the label is an integer of the file, not a text

    @property
    def gold(self) -> Gold:
        return Gold(self.labels[0], self.choices, self.where, self.whole)


class OwnTask(AnswerReader):
    """Base class of tasks for user data sets; subclasses handle one kind of label."""

    name = "own"
    stop = ("\nQ:",)
    instructions: str  # file in qcrd/tasks/prompts
    allowed: str  # valid labels, for messages

    def vocabulary(self) -> None:
        """None: natural language has no closed vocabulary."""

    def load(self, config: config.Task) -> Splits:
        """Load `config.source` as described by `config.own`.

        Raises:
            DataError: if the data is missing, lacks a field, or has a larger share of invalid rows than
                `config.own.drop`.
        """
        own = config.own
        invalid: list[InvalidRow] = []
        drafts = {
            split: list(self._drafts(own, split, rows, invalid)) for split, rows in files.rows(config).items()
        }
        total = sum(map(len, drafts.values())) + len(invalid)
        questions: dict[str, list[Question]] = {split: [] for split in drafts}
        if any(drafts.values()):
            reading = self.label_is(own, [draft.gold for group in drafts.values() for draft in group])
            for split, group in drafts.items():
                for draft in group:
                    try:
                        questions[split].append(self._question(draft, reading))
                    except InvalidRow as error:
                        invalid.append(error)
        _check_share(invalid, total, own.drop)
        _check_ids(questions)
        train = questions["train"]
        if "test" not in questions:
            random.Random(f"{config.seed} test").shuffle(train)
            held = config.test or max(1, len(train) // HELD_OUT)
            train, questions["test"] = train[held:], train[:held]
        validation = questions.get("validation")
        held = max(1, len(train) // HELD_OUT) if validation is None else len(validation)
        sizes = Sizes(len(train), held, len(questions["test"]), papers=False)
        return deal(self.name, sizes, config, train, questions["test"], validation)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """The user's instructions and examples, or the defaults for this kind of label; then the question."""
        shots = shots or self.default(question)
        return Prompt(question.text, shots.system, shots.examples)

    def default(self, question: Question) -> Shots:
        """Instructions if the user gives none."""
        return packaged(self.instructions)

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """Parse an answer by the kind of label; several correct answers have the same canonical answer."""
        parsed = super().parse(text, question, finish_reason)
        if parsed.label is None or not question.also:
            return parsed
        return replace(parsed, answer=self.answer(parsed.label, question))

    def answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label; all of several correct answers have the same one."""
        answer = self.one_answer(label, question)
        if answer is not None and any(answer == self.one_answer(other, question) for other in question.also):
            return self.one_answer(question.label, question)
        return answer

    @abstractmethod
    def one_answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label, for questions with one correct answer."""
        raise NotImplementedError

    def label_is(self, own: config.Own, golds: Sequence[Gold]) -> str:
        """Interpretation of all labels of the data set, a key of `labels.READINGS`."""
        return "text"

    @abstractmethod
    def label(self, gold: Gold, reading: str) -> str | None:
        """The label for training; None if it is invalid."""
        raise NotImplementedError

    def _drafts(
        self, own: config.Own, split: str, rows: Sequence[Row], invalid: list[InvalidRow]
    ) -> Iterator[_Draft]:
        """Parse the rows; invalid ones are appended to `invalid`."""
        for number, row in enumerate(rows):
            try:
                yield self._draft(own, f"own-{split}-{number}", row)
            except InvalidRow as error:
                invalid.append(error)

    def _draft(self, own: config.Own, id: str, row: Row) -> _Draft:
        names = (own.question,) if isinstance(own.question, str) else own.question
        text = "\n".join(fields.question(row, field) for field in names)
        choices = fields.choices(own, row)
        if isinstance(own.choices, str):
            text = with_choices(text, choices.texts)
        labels = fields.texts(row, own.label, "label")
        if own.kind == "choice" and len(labels) > 1:
            raise InvalidRow(
                f"task.own.label: {row.where} has {len(labels)} texts in {own.label!r}; a choice has one "
                "correct answer"
            )
        parts = [_split(own, label, row.where) for label in labels]
        rationale = ""
        if own.rationale == own.label and own.label_after is not None:
            rationale = _CALCULATION.sub("", parts[0][0])
        elif own.rationale is not None:
            rationale = fields.one_text(row, own.rationale, "rationale", empty=True)
        if own.id is not None:
            id = fields.one_text(row, own.id, "id")
        question = Question(id, text, "", choices.texts, fields.line(rationale) or None)
        lines = tuple(fields.line(label) for _, label in parts)
        return _Draft(question, lines, row.where, choices, _whole(fields.value(row, own.label, "label")))

    def _question(self, draft: _Draft, reading: str) -> Question:
        labels = [
            label
            for text in draft.labels
            if (label := self.label(replace(draft.gold, label=text), reading)) is not None
        ]
        # A label that cannot be parsed from an answer is not used for training, but accepted as correct.
        first = next((label for label in labels if self._readable(label, draft.question)), None)
        if first is None:
            raise InvalidRow(
                f"task.own.label: {draft.where} has {', '.join(map(repr, draft.labels))}; allowed: "
                f"{self.allowed or allowed(reading, draft.choices)}"
            )
        question = replace(draft.question, label=first)
        seen = {self.answer(first, question): first}
        for label in labels:
            seen.setdefault(self.answer(label, question), label)
        return replace(question, also=tuple(label for label in seen.values() if label != first))

    def _readable(self, label: str, question: Question) -> bool:
        """Whether parsing an answer with this label returns the label."""
        parsed = self.parse(self.target("", label), replace(question, label=label)).label
        return normal(label) == normal(parsed or "")


class OwnChoice(OwnTask, ChoiceTask):
    """Choices as labels, listed with each question or fixed for all."""

    allowed = ""

    def __init__(self, lettered: bool):
        self.lettered = lettered
        self.instructions = "own-choices.txt" if lettered else "own-labels.txt"

    def default(self, question: Question) -> Shots:
        """Instructions; they list the choices if the questions do not."""
        shots = super().default(question)
        if self.lettered:
            return shots
        return Shots(f"{shots.system} The answer is one of: {', '.join(question.choices)}.")

    def label_is(self, own: config.Own, golds: Sequence[Gold]) -> str:
        """Choose by `labels.decide`."""
        return decide(golds, own.label_is, own.drop)

    def label(self, gold: Gold, reading: str) -> str | None:
        """Text of the choice that the label names."""
        index = gold.index(reading)
        return None if index is None else gold.choices.texts[index]

    def one_answer(self, label: str, question: Question) -> str | None:
        """Key of the choice."""
        return ChoiceTask.answer(self, label, question)


class OwnEquation(OwnTask, EquationTask):
    """Numbers or equations as labels."""

    instructions = "own-equation.txt"
    allowed = "an equation such as (3 + 4) * 2, or a number"

    def label(self, gold: Gold, reading: str) -> str | None:
        """Normal form of the equation."""
        return equations.normal(gold.label)

    def one_answer(self, label: str, question: Question) -> str | None:
        """Value of the equation."""
        return EquationTask.answer(self, label, question)


class OwnText(OwnTask, TextTask):
    """Short texts as labels."""

    instructions = "own-text.txt"
    allowed = "a text without a full stop or line break in it, up to 200 characters"

    def label(self, gold: Gold, reading: str) -> str | None:
        """The text, unchanged."""
        return gold.label if normal(gold.label) else None

    def one_answer(self, label: str, question: Question) -> str | None:
        """Normalised text."""
        return TextTask.answer(self, label, question)


@lru_cache(maxsize=8)
def task(own: config.Own) -> Task:
    """The task for a description of a data set."""
    if own.kind == "choice":
        return OwnChoice(lettered=isinstance(own.choices, str))
    return OwnEquation() if own.kind == "equation" else OwnText()


def _split(own: config.Own, text: str, where: str) -> tuple[str, str]:
    """Split a field at `own.label_after` and `own.label_before`: the text before the label, and the label."""
    before = ""
    for setting in ("label_after", "label_before"):
        mark = getattr(own, setting)
        if mark is not None and mark in text:
            if text.count(mark) > 1:
                raise InvalidRow(
                    f"task.own.{setting}: {where} has {mark!r} {text.count(mark)} times in {own.label!r}; "
                    "expected it once"
                )
            first, _, second = text.partition(mark)
            before, text = (first, second) if setting == "label_after" else (before, first)
    return before, text


def _whole(item: Any) -> bool:
    """Whether a value, or the only item of a list, is an integer."""
    while isinstance(item, list) and len(item) == 1:
        item = item[0]
    return isinstance(item, Number) and item.whole


def _check_share(invalid: Sequence[InvalidRow], total: int, share: float) -> None:
    """Log dropped rows.

    Raises:
        DataError: if their share is larger than allowed, or no row is left.
    """
    if not invalid:
        return
    counts = f"{len(invalid)} of {total} rows cannot be used as questions"
    if len(invalid) > share * total or len(invalid) == total:
        raise DataError(
            f"{invalid[0]} ({counts}; task.own.drop, now {share:g}, is the largest share of rows that may be "
            "dropped)"
        )
    log.warning("own data: %s and are dropped; the first: %s", counts, invalid[0])


def _check_ids(questions: dict[str, list[Question]]) -> None:
    seen: dict[str, str] = {}
    for split, group in questions.items():
        for question in group:
            if question.id in seen:
                raise DataError(
                    f"task.own.id: {question.id!r} is there twice ({seen[question.id]}, {split}); name a "
                    "field that is unique over all splits, or leave task.own.id out"
                )
            seen[question.id] = split
