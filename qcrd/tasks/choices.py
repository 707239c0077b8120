"""Reads rationale and label out of answers to questions with choices, and compares such labels as text."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qcrd.tasks import answers
from qcrd.tasks.answers import CUE, first_answer, reasoning
from qcrd.types import Parsed, Question

_WRAPPING = " \t\r\n\f\v*_`\"'“”.,;:!?"  # around a label, as prose or Markdown
_QUOTES = str.maketrans("’‘", "''")
_LETTER = re.compile(r"\(\s*([A-Za-z])\s*\)|([A-Za-z])(?:\s*[).:]|$)")
# Where a label may end: with its sentence, or where the sentence goes on to give a reason.
_END = re.compile(r"[.!?](?=\s|$)|,?\s+(?:because|since)\b|,\s+as\b|$")
_SENTENCE_END = re.compile(r"[.!?]\W*$")
_AROUND = 60  # characters that a label's wrapping, its letter and odd spaces may take


class ChoiceTask:
    """What tasks share whose labels are one of `Question.choices`. Labels agree where their texts do.

    Attributes:
        lettered: whether the question shows its choices as (a), (b), ..., so that answers may name letters.
    """

    kind = "choice"
    lettered = False

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """RATIONALE, a cue ("The answer is", "Answer:"), LABEL up to the end of its sentence.

        The last cue that something follows counts. The rationale ends before the first that a choice
        follows, because reasoning such as "The answer is something sweet" gives no answer yet. An answer
        that names several choices names none.

        `truncated` is an answer that the token limit cut before its label was whole; and one that ends with
        the beginning of a choice, since files of recorded answers do not say why they end.
        """
        text = first_answer(text)
        cut_off = finish_reason == "length"
        cues = list(CUE.finditer(text))
        if not cues:
            return Parsed(None, None, None, "truncated" if cut_off else "no cue")
        last = next((cue for cue in reversed(cues) if _after(text, cue, 1)), None)
        if last is None:
            rationale = reasoning(text[: cues[0].start()])
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        reader = _Reader(question.choices, self.lettered)
        rest = _after(text, last, reader.window)
        label, begun = reader.choice(rest), reader.begun(rest)
        if label is None or (cut_off and begun):
            whole = not begun and not (cut_off and reader.open(rest))
            reason = "not a choice" if whole else "truncated"
            return Parsed(reasoning(text[: last.start()]), None, None, reason)
        first = next(cue for cue in cues if reader.choice(_after(text, cue, reader.window)) is not None)
        return Parsed(reasoning(text[: first.start()]), label, normal(label))

    def answer(self, label: str, question: Question) -> str | None:
        """The label's normalised text, None where it is not one of the choices' (a letter alone is not)."""
        found = normal(label)
        return found if found in map(normal, question.choices) else None

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label is the gold label's choice: exact match of normalised text."""
        answer = self.answer(label, question)
        return answer is not None and answer == normal(question.label)

    def target(self, rationale: str, label: str) -> str:
        """`RATIONALE The answer is LABEL.`"""
        return answers.target(rationale, label)


class _Reader:
    """Finds the choices of one question in what follows a cue, of which it needs `window` characters."""

    def __init__(self, choices: Sequence[str], lettered: bool):
        self.choices, self.lettered = choices, lettered
        self.by_text = {normal(choice): choice for choice in reversed(choices)}
        self.window = _AROUND + 2 * max(map(len, choices), default=0)

    def choice(self, rest: str) -> str | None:
        """The choice that `rest` names; where there are several ways to end it, the longest."""
        line = rest.partition("\n")[0]
        for end in reversed([match.start() for match in _END.finditer(line)]):
            letter, said = self._apart(line[:end])
            for text in (normal(line[:end]), said):
                if text in self.by_text:
                    return self.by_text[text]
            if letter and not said and ord(letter) - ord("a") < len(self.choices):
                return self.choices[ord(letter) - ord("a")]
        return None

    def open(self, rest: str) -> bool:
        """Whether nothing shows that the label is whole: the text ends with it, in mid-sentence."""
        return len(rest) < self.window and "\n" not in rest and not _SENTENCE_END.search(rest)

    def begun(self, rest: str) -> bool:
        """Whether the text ends with the beginning of a choice."""
        said = self._apart(rest)[1] if self.open(rest) else ""
        return bool(said) and any(text.startswith(said) and text != said for text in self.by_text)

    def _apart(self, written: str) -> tuple[str, str]:
        """Letter and normalised text of `(b) cup`.

        Where they disagree, or the text is no choice, the letter counts for nothing: what a teacher reasons
        about is the text.
        """
        letter = _LETTER.match(written) if self.lettered else None
        if letter is None:
            return "", normal(written)
        return (letter[1] or letter[2]).lower(), normal(written[letter.end() :])


def normal(text: str) -> str:
    """The form in which labels are compared: lower case, single spaces, nothing around it."""
    return " ".join(text.translate(_QUOTES).casefold().split()).strip(_WRAPPING)


def _after(text: str, cue: re.Match, length: int) -> str:
    """At most `length` characters of what follows a cue, without what wraps it."""
    at = cue.end()
    while at < len(text) and text[at] in _WRAPPING:
        at += 1
    return text[at : at + length]
