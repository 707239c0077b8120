"""Reads rationale and label out of answers in free text, and compares such labels as text."""

from __future__ import annotations

import re

from qcrd.tasks import answers
from qcrd.tasks.answers import CUE, first_answer, reasoning
from qcrd.tasks.choices import normal
from qcrd.types import Parsed, Question

# Where a label ends: with its line or sentence, but neither at "St." and its like nor at an initial.
_END = re.compile(r"\n|(?<!\b[A-Z])(?<!\b(?:St|Mt|Dr|Mr|Ms|Jr|Sr|vs))(?<!\bMrs)[.!?](?=\s|$)")
LONGEST = 200  # characters of a label


class TextTask:
    """What tasks share whose labels are short free text. Labels agree where their normalised texts do."""

    kind = "text"

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:"), LABEL up to the end of its sentence.

        The last cue that something follows counts; the rationale ends before it. What is longer than
        `LONGEST` is no label.
        """
        text = first_answer(text)
        cut_off = finish_reason == "length"
        cues = list(CUE.finditer(text))
        if not cues:
            return Parsed(None, None, None, "truncated" if cut_off else "no cue")
        for cue in reversed(cues):
            rest = text[cue.end() : cue.end() + LONGEST + 50].lstrip(" \t\n:*\"'")
            end = _END.search(rest)
            label = " ".join(rest[: end.start() if end else None].split()).strip("*\"' ")
            if normal(label):
                break
        else:
            return Parsed(
                reasoning(text[: cues[0].start()]), None, None, "truncated" if cut_off else "no label"
            )
        rationale = reasoning(text[: cue.start()])
        if cut_off and end is None:
            return Parsed(rationale, None, None, "truncated")
        if len(label) > LONGEST:
            return Parsed(rationale, None, None, "no label")
        return Parsed(rationale, label, normal(label))

    def answer(self, label: str, question: Question) -> str | None:
        """The label's normalised text (see `choices.normal`), None where nothing is left of it."""
        return normal(label) or None

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label is the gold label: exact match of normalised text."""
        answer = self.answer(label, question)
        return answer is not None and answer == normal(question.label)

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return answers.target(rationale, label)
