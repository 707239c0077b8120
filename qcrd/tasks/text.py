"""Tasks with free-text labels: parsing, and comparison by normalised text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qcrd.tasks import answers, prose
from qcrd.tasks.answers import Cue
from qcrd.tasks.choices import normal
from qcrd.tasks.reading import AnswerReader
from qcrd.types import Parsed, Question

# Where a label ends: with its line or sentence, but neither at "St." and its like nor at an initial.
_END = re.compile(r"\n|(?<!\b[A-Z])(?<!\b(?:St|Mt|Dr|Mr|Ms|Jr|Sr|vs))(?<!\bMrs)[.!?](?=\s|$)")
_TEXT = re.compile(r"\\(?:text|textbf|mathrm)\s*\{([^{}]*)\}")
LONGEST = 200  # characters of a label


class TextTask(AnswerReader):
    """Base class of tasks whose labels are short free text, which is compared after normalisation."""

    kind = "text"

    def answer(self, label: str, question: Question) -> str | None:
        """The label's normalised text (see `choices.normal`); None if it is empty."""
        return normal(label) or None

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label is the gold label: exact match of normalised text."""
        answer = self.answer(label, question)
        return answer is not None and answer == normal(question.label)

    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """The label follows the last cue with text after it, and extends to the end of its sentence or box.

        The rationale ends before that cue. A text longer than `LONGEST` is not a label.
        """
        for cue in reversed(cues):
            rest = text[cue.end : cue.end + LONGEST + 50].lstrip(" \t\n:*\"'$")
            end = _END.search(rest)
            line = rest[: end.start() if end else None]
            boxed = [_TEXT.sub(r"\1", content) for *_, content in prose.boxes(rest)]
            label = " ".join((boxed[0] if boxed else line).split()).strip("*\"'` $")
            if normal(label):
                break
        else:
            rationale = answers.reasoning(text[: cues[0].start])
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        rationale = answers.reasoning_before(text, cues, cue)
        if cut_off and end is None:
            return Parsed(rationale, None, None, "truncated")
        if len(label) > LONGEST:
            return Parsed(rationale, None, None, "no label")
        return Parsed(rationale, label, normal(label))

    def _bare(self, text: str, question: Question) -> Parsed | None:
        label = " ".join(text.split()).strip("*\"'` ").rstrip(".")
        return Parsed(None, label, normal(label)) if normal(label) and len(label) <= LONGEST else None
