"""How an answer becomes rationale and label: what all kinds of labels share, and equations as labels."""

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
    """Settings of how answers are read; `config.Task` says what they mean."""

    uncued: Literal["task", "refuse", "last"] = "task"
    thinking: Literal["answer", "thinking", "both"] = "answer"
    cues: tuple[str, ...] = ()
    normalisers: tuple[str, ...] = ()


class AnswerReader(ABC):
    """Takes answers apart; a kind of labels says where its label ends and what it means.

    Attributes:
        name, kind, stop: as of `Task`.
        reading: the settings.
    """

    name: str
    kind: Literal["equation", "choice", "text"]
    stop: tuple[str, ...]
    reading = Reading()

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:", "####", a box), LABEL.

        What a reasoning model wrote between its marks (`<think>`) is neither label nor cue; it is the
        rationale where nothing but the label follows, or as `reading.thinking` says. An answer that ends
        within it, or that the token limit cut before its label was certainly whole, is `truncated`.
        """
        for name in self.reading.normalisers:
            text = NORMALISERS[name].apply(text)
        answer = answers.split(text)
        if answer.cut:
            return Parsed(None, None, None, "truncated")
        body, cues = answers.first_answer(answer.text, [CUES[name].pattern for name in self.reading.cues])
        cut_off = finish_reason == "length"
        if cues:
            found = self._read(body, cues, question, cut_off)
        elif cut_off:
            found = Parsed(None, None, None, "truncated")
        else:
            read = self._bare(body, question) if answer.thinking else None
            if read is None and self.reading.uncued == "last":
                read = self._last(body, question)
            elif read is None and self.reading.uncued == "task":
                read = self._uncued(body, question)
            found = read or Parsed(None, None, None, "no cue")
        return replace(found, rationale=self._rationale(answer.thinking, found.rationale))

    @abstractmethod
    def answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label, None where it is not one."""
        raise NotImplementedError

    @abstractmethod
    def correct(self, label: str, question: Question) -> bool:
        """Whether a label answers as the gold label does."""
        raise NotImplementedError

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return answers.target(rationale, label)

    @abstractmethod
    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """What an answer without thinking says that announces its label, at least once."""
        raise NotImplementedError

    def _bare(self, text: str, question: Question) -> Parsed | None:
        """What follows thinking without a cue, where it is a label and nothing else."""
        return None

    def _last(self, text: str, question: Question) -> Parsed | None:
        """What a finished answer without a cue says by its last number or choice; None for nothing."""
        return None

    def _uncued(self, text: str, question: Question) -> Parsed | None:
        """The same by the task's own rule; most have none."""
        return None

    def _rationale(self, thinking: str | None, reasoning: str | None) -> str | None:
        if thinking is None:
            return reasoning
        if self.reading.thinking == "both":
            return f"{thinking}\n{reasoning}" if reasoning else thinking
        first, second = (reasoning, thinking) if self.reading.thinking == "answer" else (thinking, reasoning)
        return first or second


class EquationTask(AnswerReader):
    """What tasks whose labels are equations share. Labels agree where their values do."""

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
        """The last cue that something follows counts; the rationale ends before the first.

        Spaces before punctuation, as word-level decoding writes them, change nothing.
        """
        rationale = answers.reasoning(text[: cues[0].start])
        said = [cue for cue in cues if text[cue.end :].strip(" .\n*_$:")]
        if not said:
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        start = _announced(said, text)
        rest = text[start:]
        if cut_off and not _ended(rest):
            return Parsed(rationale, None, None, "truncated")
        bare = not text[said[-1].start : said[-1].end].strip(" \n$")  # a box that no words announce
        sign = prose.sign_before(text[: said[-1].start]) if bare else ""
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
