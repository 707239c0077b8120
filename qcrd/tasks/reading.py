"""Reads rationale and label out of an answer to a word problem, and compares such labels by value."""

from __future__ import annotations

import re

from qcrd.tasks import equations
from qcrd.types import Parsed, Question

# Where an answer runs on into an invented next question.
_NEXT = re.compile(r"\n\s*\n\s*Q\s*:|\n\s*Q\s*:|\bQuestion\s*:", re.IGNORECASE)
_CUE = re.compile(r"\bthe\s+answer\s+is\b\s*:?|\bAnswer\s*:", re.IGNORECASE)


class EquationTask:
    """What tasks whose labels are equations share. Labels agree where their values do."""

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:"), LABEL; what follows the first equation is dropped.

        Spaces before punctuation, as word-level decoding writes them, change nothing.
        """
        text = first_answer(text)
        cue = _CUE.search(text)
        if cue is None:
            return Parsed(None, None, None, "truncated" if finish_reason == "length" else "no cue")
        rationale = text[: cue.start()].strip()
        return read_label(rationale, text[cue.end() :], finish_reason)

    def answer(self, label: str, question: Question) -> str | None:
        """The label's value as exact text, such as `42` or `7/2`."""
        return canonical(equations.value(label))

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label has the gold label's value."""
        answer = self.answer(label, question)
        return answer is not None and answer == self.answer(question.label, question)

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return f"{rationale} The answer is {label}.".strip()


def first_answer(text: str) -> str:
    """`text` up to an invented next question."""
    following = _NEXT.search(text)
    return text[: following.start()] if following else text


def read_label(rationale: str, rest: str, finish_reason: str) -> Parsed:
    """The first equation of what follows the cue, or the reason why there is none."""
    found = equations.first(rest)
    if found is not None and (answer := canonical(found[0].value)) is not None:
        return Parsed(rationale, found[0].text, answer)
    if finish_reason == "length":
        return Parsed(rationale, None, None, "truncated")
    return Parsed(rationale, None, None, "not an equation" if rest.strip(" .\n") else "no label")


def canonical(value) -> str | None:
    """Exact text of a Fraction; None stays None."""
    return None if value is None else str(value)
