"""Reads rationale and label out of answers to questions with choices, and compares such labels as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters

from qcrd.tasks import answers
from qcrd.tasks.answers import Cue
from qcrd.tasks.reading import AnswerReader
from qcrd.types import Parsed, Question

_WRAPPING = " \t\r\n\f\v*_`\"'“”.,;:!?"  # around a label, as prose or Markdown
_QUOTES = str.maketrans("’‘", "''")
_LATEX = re.compile(
    r"^[$\s]*\\(?:boxed|fbox)\s*\{(.*)\}[$\s.]*$|^\\(?:text|textbf|mathrm|mathbf)\s*\{(.*)\}$"
)
_BRACKETS = str.maketrans(
    {"（": "(", "）": ")", "［": "(", "］": ")", "【": "(", "】": ")"}
    | {chr(0xFEE0 + ord(letter)): letter for letter in ascii_letters}
)
_SQUARE = re.compile(r"^\[\s*([A-Za-z])\s*\]")
_NAMED = re.compile(
    r"(?:the\s+)?(?:option|choice|letter)\s*:?\s*(?=[(\[]?\s*[A-Za-z]\s*(?:[)\].:,]|\W|$))", re.I
)
_LETTER = re.compile(r"[*_]*(?:\(\s*([A-Za-z])\s*\)|([A-Za-z])(?:\s*[).:,]|\s+[-–—]|[*_]*$|\s+(?=\()))[*_]*")
_BEHIND = re.compile(r"(?P<text>.*\S)\s*\((?P<inside>[^()]*)\)\W*$")
_DASH = re.compile(r"^\s*[-–—:]\s+")
# Where a label may end: with its sentence, or where the sentence goes on to give a reason or an explanation.
_END = re.compile(
    r"[.!?](?=\s|$)|,?\s+(?:because|since)\b|,\s+(?:as|which|so|that|where|when|who|while|for|it|this)\b"
    r"|\s+[-–—]\s+|\s+(?=\()|$"
)
_SENTENCE_END = re.compile(r"[.!?]\W*$")
_AROUND = 80  # characters that a label's wrapping, its letter and odd spaces may take


class ChoiceTask(AnswerReader):
    """What tasks share whose labels are one of `Question.choices`. Labels agree where they name the same one.

    Attributes:
        lettered: whether the question shows its choices as (a), (b), ..., so that answers may name letters.
    """

    kind = "choice"
    lettered = False

    def answer(self, label: str, question: Question) -> str | None:
        """The key of the choice that the label is, None where it is none (a letter alone is not)."""
        found = named(label, question.choices)
        return None if found is None else keys(question.choices)[found]

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label is the gold label's choice."""
        answer = self.answer(label, question)
        return answer is not None and answer == self.answer(question.label, question)

    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """The last cue that something follows counts. LABEL goes up to the end of its sentence.

        The rationale ends before the first cue that a choice follows, because reasoning such as "The answer
        is something sweet" gives no answer yet. An answer that names several choices names none.

        `truncated` is an answer that the token limit cut before its label was whole; and one that ends with
        the beginning of a choice, since files of recorded answers do not say why they end.
        """
        last = next((cue for cue in reversed(cues) if _after(text, cue, 1)), None)
        if last is None:
            rationale = answers.reasoning(text[: cues[0].start])
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        reader = _Reader(question.choices, self.lettered)
        rest = _after(text, last, reader.window)
        label, begun = reader.choice(rest), reader.begun(rest)
        if label is None or (cut_off and begun):
            whole = not begun and not (cut_off and reader.open(rest))
            reason = "not a choice" if whole else "truncated"
            return Parsed(_until(text, cues, last), None, None, reason)
        first = next(cue for cue in cues if reader.choice(_after(text, cue, reader.window)) is not None)
        return Parsed(_until(text, cues, first), label, keys(question.choices)[label])

    def _bare(self, text: str, question: Question) -> Parsed | None:
        label = _Reader(question.choices, self.lettered).choice(text.strip())
        return None if label is None else Parsed(None, label, keys(question.choices)[label])

    def _last(self, text: str, question: Question) -> Parsed | None:
        """The choice named last, by its text or its letter in brackets."""
        found = (-1, -1, "")
        for choice in dict.fromkeys(question.choices):
            for match in re.finditer(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", text, re.IGNORECASE):
                found = max(found, (match.end(), match.end() - match.start(), choice))
        if self.lettered:
            for match in re.finditer(r"\(([A-Za-z])\)", text):
                number = ord(match[1].lower()) - ord("a")
                if number < len(question.choices) and match.end() > found[0]:
                    found = (match.end(), 0, question.choices[number])
        label = found[2]
        if found[0] < 0:
            return None
        return Parsed(answers.reasoning(text), label, keys(question.choices)[label], uncued=True)


class _Reader:
    """Finds the choices of one question in what follows a cue, of which it needs `window` characters."""

    def __init__(self, choices: Sequence[str], lettered: bool):
        self.choices, self.lettered = tuple(choices), lettered
        self.table = _table(self.choices)
        self.window = _AROUND + 2 * max(map(len, choices), default=0)

    def choice(self, rest: str) -> str | None:
        """The choice that `rest` names; where there are several ways to end it, the longest."""
        line = rest.partition("\n")[0]
        if found := self._named(line):
            return found
        # A cue may have left the end of its emphasis, or of LaTeX, behind.
        line = _unwrapped(line)
        for end in reversed([match.start() for match in _END.finditer(line)]):
            if found := self._named(line[:end]):
                # `cup (b)` is one choice, `cup (or tea cup)` none.
                behind = re.match(r"\s+\(([^()]*)\)(.*)", line[end:])
                several = line[:end].endswith(",") or (behind and re.match(r"\W*(?:\w\s)", behind[2]))
                return None if behind and (several or not self._agrees(behind[1], found)) else found
        return None

    def open(self, rest: str) -> bool:
        """Whether nothing shows that the label is whole: the text ends with it, in mid-sentence."""
        return len(rest) < self.window and "\n" not in rest and not _SENTENCE_END.search(rest)

    def begun(self, rest: str) -> bool:
        """Whether the text ends with the beginning of a choice."""
        said = normal(self._apart(rest)[1]) if self.open(rest) else ""
        return bool(said) and any(text.startswith(said) and text != said for text in self.table.normals)

    def _named(self, written: str) -> str | None:
        """The choice that all of `written` names.

        Where letter and text disagree, or the text is no choice, the letter counts for nothing: what a
        teacher reasons about is the text. It decides between choices that only the letter tells apart.
        """
        letter, said = self._apart(_unwrapped(written))
        by_letter = self._lettered(letter)
        if by_letter is not None and by_letter in (said.strip(), said.strip().rstrip(".")):
            return by_letter
        if found := named(written, self.choices):
            return found
        if not normal(said):
            return by_letter
        written = _unwrapped(written)
        found = named(said, self.choices)
        if found is None and by_letter is not None and normal(said) == normal(by_letter):
            return by_letter
        if found is None and (behind := _BEHIND.fullmatch(said if letter else written)):
            inside, text = behind["inside"].strip(), behind["text"]
            if letter and not normal(text):
                return named(inside, self.choices)
            found = named(text, self.choices)
            if found is not None and not self._agrees(inside, found):
                return None
        return found

    def _agrees(self, inside: str, found: str) -> bool:
        """Whether a bracket behind a choice names no other one."""
        if len(inside.strip()) == 1 and self.lettered:
            return True  # where they disagree the text counts
        words = normal(inside)
        return not any(
            re.search(rf"(?<!\w){re.escape(normal(other))}(?!\w)", words)
            for other in self.choices
            if normal(other) != normal(found) and normal(other)
        )

    def _lettered(self, letter: str) -> str | None:
        number = ord(letter) - ord("a") if letter else len(self.choices)
        return self.choices[number] if number < len(self.choices) else None

    def _apart(self, written: str) -> tuple[str, str]:
        """Letter and text of `(b) cup`; "" where there is no letter."""
        if not self.lettered:
            return "", written
        plain = _SQUARE.sub(r"(\1)", written.translate(_BRACKETS).lstrip(_WRAPPING.replace(".", "")))
        plain = _NAMED.sub("", plain, count=1) if _NAMED.match(plain) else plain
        plain = _SQUARE.sub(r"(\1)", plain)
        letter = _LETTER.match(plain)
        if letter is None:
            return "", written
        said = _DASH.sub("", plain[letter.end() :])
        if alone := re.fullmatch(r"\s*\(([^()]*)\)\W*", said):
            said = alone[1]
        return (letter[1] or letter[2]).lower(), said


def named(label: str, choices: Sequence[str]) -> str | None:
    """The choice that `label` is: by its exact text, else by its normalised one where that tells it apart."""
    table = _table(tuple(choices))
    exact = " ".join(label.split()).strip("*\"'“”` ")
    for written in (exact, exact.rstrip(".").rstrip() if exact.endswith(".") else exact):
        if written in table.exact:
            return table.exact[written]
    return table.alike.get(normal(label))


def keys(choices: Sequence[str]) -> dict[str, str]:
    """By choice the form in which it is compared: different texts never have the same one.

    It is the normalised text where that tells all choices apart, else the exact one. Equal choices are one.
    """
    return _table(tuple(choices)).keys


@dataclass(frozen=True, slots=True)
class _Table:
    exact: dict[str, str]  # text with single spaces -> choice
    alike: dict[str, str]  # normalised text -> choice, where it is one choice's alone
    keys: dict[str, str]
    normals: frozenset[str]


@lru_cache(maxsize=4096)
def _table(choices: tuple[str, ...]) -> _Table:
    exact: dict[str, str] = {}
    by_normal: dict[str, list[str]] = {}
    for choice in choices:
        written = " ".join(choice.split())
        if exact.setdefault(written, choice) == choice:
            by_normal.setdefault(normal(choice), []).append(choice)
    alike = {text: group[0] for text, group in by_normal.items() if text and len(set(group)) == 1}
    return _Table(
        exact,
        alike,
        {c: normal(c) if normal(c) in alike else " ".join(c.split()) for c in choices},
        frozenset(by_normal),
    )


def normal(text: str) -> str:
    """The form in which texts are compared: lower case, single spaces, nothing around it.

    A point or sign before a digit (`.5`) belongs to the number, and so do underscores on both sides to a name
    (`__init__`).
    """
    text = " ".join(text.translate(_QUOTES).casefold().split())
    found = text.strip(_WRAPPING)
    at = text.find(found)
    if found[:1].isdigit() and text[:at].endswith("."):
        return f".{found}"
    if re.fullmatch(r"[*\"'`]*__\w+__\W*", text):
        return f"__{found}__"
    return found


def _unwrapped(text: str) -> str:
    """`text` out of LaTeX's `\\boxed{\\text{...}}`."""
    while match := _LATEX.match(text.strip().strip("$")):
        text = match[1] if match[1] is not None else match[2]
    return text


def _until(text: str, cues: Sequence[Cue], cue: Cue) -> str | None:
    """The reasoning before `cue`, and before those that announce the same label: `The answer is \\boxed{`."""
    start = cue.start
    for other in reversed(cues[: cues.index(cue)]):
        if text[other.end : start].strip(" :*_$\n"):
            break
        start = other.start
    return answers.reasoning(text[:start])


def _after(text: str, cue: Cue, length: int) -> str:
    """At most `length` characters of what follows a cue, without what wraps it."""
    at = cue.end
    while (
        at < len(text) and text[at] in _WRAPPING and not (text[at] == "." and text[at + 1 : at + 2].isdigit())
    ):
        at += 1
    return text[at : at + length]
