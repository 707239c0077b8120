"""Parsing of answers into rationale and label: the base class, and equations as labels."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from qcrd.tasks import answers, equations, prose
from qcrd.tasks.answers import Cue
from qcrd.tasks.extensions import CUES, NORMALISERS
from qcrd.types import Parsed, Question

_NUMERIC = re.compile(r"[-+−($€£¥\\\s]*(?:\d|[.½¼¾⅓⅔]|\\?boxed|d?frac)")


@dataclass(frozen=True, slots=True)
class Reading:
    """Settings for parsing answers; see `config.Task`."""

    uncued: Literal["task", "refuse", "last"] = "task"
    thinking: Literal["answer", "thinking", "both"] = "answer"
    cues: tuple[str, ...] = ()
    normalisers: tuple[str, ...] = ()


class AnswerReader(ABC):
    """Base class for parsing answers; subclasses parse and compare one kind of label.

    Attributes:
        name, kind, cue, stop: see `Task`.
        reading: settings for parsing.
    """

    name: str
    kind: Literal["equation", "choice", "text"]
    stop: tuple[str, ...]
    cue = "Answer"
    reading = Reading()

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:", "####", a box), LABEL.

        Text between a reasoning model's thinking marks (`<think>`) is not searched for label or cue; it is
        the rationale if only the label follows, or according to `reading.thinking`. An answer that ends
        within the thinking, or that the token limit cut before its label was certainly complete, is
        `truncated`."""
        for name in self.reading.normalisers:
            text = NORMALISERS[name].apply(text)
        answer = answers.split(text)
        if answer.cut:
            return Parsed(None, None, None, "truncated")
        body, cues = answers.first_answer(answer.text, [CUES[name].pattern for name in self.reading.cues])
        cut_off = finish_reason == "length"
        if cues:
            parsed = self._read(body, cues, question, cut_off)
        elif cut_off:
            parsed = Parsed(None, None, None, "truncated")
        else:
            uncued = self._bare(body, question) if answer.thinking else None
            if uncued is None and self.reading.uncued == "last":
                uncued = self._last(body, question)
            elif uncued is None and self.reading.uncued == "task":
                uncued = self._uncued(body, question)
            parsed = uncued or Parsed(None, None, None, "no cue")
        return replace(parsed, rationale=self._rationale(answer.thinking, parsed.rationale))

    @abstractmethod
    def answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label; None if the label is invalid."""
        raise NotImplementedError

    @abstractmethod
    def correct(self, label: str, question: Question) -> bool:
        """Whether a label is equivalent to the gold label."""
        raise NotImplementedError

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return answers.target(rationale, label)

    @abstractmethod
    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """Parse an answer (without thinking) that has at least one cue."""
        raise NotImplementedError

    def _bare(self, text: str, question: Question) -> Parsed | None:
        """Parse the text after thinking without a cue, if it is only a label; None otherwise."""
        return None

    def _last(self, text: str, question: Question) -> Parsed | None:
        """Parse a complete answer without a cue by its last number or choice; None if there is none."""
        return None

    def _uncued(self, text: str, question: Question) -> Parsed | None:
        """Parse a complete answer without a cue by the task's own rule; most tasks have none."""
        return None

    def _rationale(self, thinking: str | None, reasoning: str | None) -> str | None:
        if thinking is None:
            return reasoning
        if self.reading.thinking == "both":
            return f"{thinking}\n{reasoning}" if reasoning else thinking
        first, second = (reasoning, thinking) if self.reading.thinking == "answer" else (thinking, reasoning)
        return first or second


class EquationTask(AnswerReader):
    """Base class of tasks whose labels are equations, which are compared by value."""

    kind = "equation"

    def answer(self, label: str, question: Question) -> str | None:
        """The label's value as exact text, such as `42` or `7/2`."""
        value = equations.value(label)
        return None if value is None else str(value)

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label has the gold label's value."""
        answer = self.answer(label, question)
        return answer is not None and answer == self.answer(question.label, question)

    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """The label follows the last cue with text after it; the rationale ends before the first cue.

        Spaces before punctuation, which word-level decoding produces, are ignored.
        """
        rationale = answers.reasoning(text[: cues[0].start])
        with_label = [cue for cue in cues if text[cue.end :].strip(" .\n*_$:")]
        if not with_label:
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        start = _announced(with_label, text)
        rest = text[start:]
        if cut_off and not _ended(rest):
            return Parsed(rationale, None, None, "truncated")
        last = with_label[-1]
        bare = not text[last.start : last.end].strip(" \n$")  # a box without words that announce it
        sign = prose.sign_before(text[: last.start]) if bare else ""
        label = None if sign is None else prose.answer(sign + rest)
        if label is None or label.value is None:
            cut = cut_off or rest.count("(") > rest.count(")")
            return Parsed(rationale, None, None, "truncated" if cut else "not an equation")
        return Parsed(rationale, label.text, str(label.value))

    def _bare(self, text: str, question: Question) -> Parsed | None:
        text = text.strip().strip("*`")
        label = prose.whole(text) if _NUMERIC.match(text) else None
        return None if label is None or label.value is None else Parsed(None, label.text, str(label.value))

    def _last(self, text: str, question: Question) -> Parsed | None:
        label = prose.last(text)
        if label is None or label.value is None:
            return None
        return Parsed(answers.reasoning(text), label.text, str(label.value), uncued=True)


def _announced(cues: Sequence[Cue], text: str) -> int:
    """Where the last label begins: with several boxes in one sentence (`or`), at the first of them."""
    at = cues[-1].end
    for cue in reversed(cues[:-1]):
        if not _box(text, cue.end) or prose.sentence_end(text[cue.end : at]):
            break
        at = cue.end
    return at


def _box(text: str, at: int) -> bool:
    return text.startswith(("\\boxed", "\\fbox"), at)


def _ended(rest: str) -> bool:
    """Whether the label is whole although the token limit cut the answer: more follows its sentence."""
    rest = rest.lstrip(" \t\n:*_$")
    end = prose.sentence_end(rest)
    if end is None:
        return False
    after = rest[end.end() :]
    return end[0] == "\n" or "\n" in after or bool(after.strip())
