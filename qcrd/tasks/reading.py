"""Reads rationale and label out of answers to word problems, and compares such labels by value."""

from __future__ import annotations

import re

from qcrd.tasks import answers, equations
from qcrd.tasks.answers import CUE, first_answer, reasoning
from qcrd.tasks.equations import Equation
from qcrd.types import Parsed, Question

_SENTENCE_END = re.compile(r"\n|[.!?](?!\d)")
_ANOTHER = re.compile(r"\s*(?:[A-Za-z-]+\s+){0,2}and\s+[-(]*[0-9]")

LONGEST = 500
"""Characters of an answer that are searched for an equation: more is no answer, and would take seconds."""


class EquationTask:
    """What tasks whose labels are equations share. Labels agree where their values do."""

    kind = "equation"

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:"), LABEL.

        The last cue that something follows counts; the rationale ends before the first. Spaces before
        punctuation, as word-level decoding writes them, change nothing.
        """
        text = first_answer(text)
        cues = list(CUE.finditer(text))
        if not cues:
            return Parsed(None, None, None, "truncated" if finish_reason == "length" else "no cue")
        rationale = reasoning(text[: cues[0].start()])
        rests = [text[cue.end() :] for cue in cues if text[cue.end() :].strip(" .\n")]
        if not rests:
            return Parsed(rationale, None, None, "truncated" if finish_reason == "length" else "no label")
        label = _label(rests[-1])
        if label is None or label.value is None:
            cut = finish_reason == "length" or rests[-1].count("(") > rests[-1].count(")")
            return Parsed(rationale, None, None, "truncated" if cut else "not an equation")
        return Parsed(rationale, label.text, str(label.value))

    def answer(self, label: str, question: Question) -> str | None:
        """The label's value as exact text, such as `42` or `7/2`."""
        value = equations.value(label)
        return None if value is None else str(value)

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label has the gold label's value."""
        answer = self.answer(label, question)
        return answer is not None and answer == self.answer(question.label, question)

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return answers.target(rationale, label)


def _label(rest: str) -> Equation | None:
    """The answer that the text after a cue gives, None where it gives none or several.

    It is the first equation, and what an opening bracket begins must be one; only where a calculation with
    units in it comes to a result in the same sentence (`6 shirts / 3 = 2`), it is that result.
    """
    rest = rest.lstrip(" $:\n")[:LONGEST]
    end_of_sentence = _SENTENCE_END.search(rest)
    sentence = rest[: end_of_sentence.start()] if end_of_sentence else rest
    found = next(equations.every(sentence), None)
    if found is None:
        return None
    equation, start, end = found
    if sentence.startswith("(") and start > 0:
        return None
    if _ANOTHER.match(sentence, end):
        return None
    calculation, equals, result = sentence.rpartition("=")
    if equals and calculation[end:].split("=")[0].strip():
        return next((equation for equation, *_ in equations.every(result)), None)
    return equation
