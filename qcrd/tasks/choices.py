"""Reads rationale and label out of answers to questions with choices, and compares such labels as text."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_letters

from qcrd.tasks import answers
from qcrd.tasks.answers import Cue
from qcrd.tasks.prose import boxes
from qcrd.tasks.reading import AnswerReader
from qcrd.types import Parsed, Question

_WRAPPING = " \t\r\n\f\v*_`\"'“”.,;:!?"  # around a label, as prose or Markdown
_QUOTES = str.maketrans("’‘", "''")
_LATEX = re.compile(
    r"^[$\s]*\\(?:boxed|fbox)\s*\{(.*)\}[$\s.]*$|^\\(?:text|textbf|mathrm|mathbf)\s*\{(.*)\}$"
)
_BRACKETS = str.maketrans(
    {
        "（": "(",
        "）": ")",
        "［": "(",
        "］": ")",
        "【": "(",
        "】": ")",
        "．": ".",
        "：": ":",
        "，": ",",
        "。": ".",
    }
    | {chr(0xFEE0 + ord(letter)): letter for letter in ascii_letters}
)
_COMMAND = re.compile(r"\\(?:text|textbf|mathrm|mathbf)\s*(?=\{)|\\[()\[\].]|\\[,;:! ]")
_SQUARE = re.compile(r"^[\[{]\s*([A-Za-z])\s*[\]}]")
_NAMED = re.compile(
    r"(?:the\s+)?(?:answer\s+)?(?:option|choice|letter)\s*:?\s*(?=[(\[]?\s*[A-Za-z]\s*(?:\W|$))",
    re.IGNORECASE,
)
_LETTER = re.compile(r"\(\s*([A-Za-z])\s*\)[.:,]?|([A-Za-z])(?:\s*[).:,!]|\s+[-–—]|$|\s+(?=\())")
_SPACED = re.compile(r"([A-Zb-z])\s+(\S.*)")
_MENTIONED = re.compile(r"\(\s*([A-Za-z])\s*\)|(?<![\w'])([B-HJ-Z])(?![\w'])")
_DASH = re.compile(r"^\s*[-–—:]\s+")
_ARTICLE = re.compile(r"^(?:the|a|an)\s+", re.IGNORECASE)
_SENTENCE = re.compile(r"[.!?](?=\s|$)")
_BECAUSE = re.compile(r"\s+(?:because|since)\b")
# Where a label may end: with its sentence, or where the sentence goes on to give a reason or an explanation.
_END = re.compile(
    r"[.!?](?=\s|$)|,?\s+(?:because|since)\b|,\s+(?:as|which|so|that|where|when|who|while|for|it|this)\b"
    r"|\s+[-–—]\s+|\s+(?=[(\[])|$"
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
        if label is not None and _boxed_another(text, cues, last, reader, label):
            label = None
        if label is None or (cut_off and begun):
            whole = not begun and not (cut_off and reader.open(rest))
            reason = "not a choice" if whole else "truncated"
            return Parsed(answers.reasoning_before(text, cues, last), None, None, reason)
        # "The answer must be a body part" still reasons, though `body part` is a choice.
        stated = _Reader(question.choices, self.lettered, articles=False)
        first = next((c for c in cues if stated.choice(_after(text, c, reader.window)) is not None), last)
        return Parsed(answers.reasoning_before(text, cues, first), label, keys(question.choices)[label])

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

    def __init__(self, choices: Sequence[str], lettered: bool, articles: bool = True):
        self.choices, self.lettered = tuple(choices), lettered
        self.table = _table(self.choices)
        self.articles = articles  # whether `the cup` names `cup`
        self.window = _AROUND + 2 * max(map(len, choices), default=0)

    def choice(self, rest: str) -> str | None:
        """The choice that `rest` names; where there are several ways to end it, the longest."""
        line = rest.partition("\n")[0]
        box = next(iter(boxes(rest)), None)
        if box is not None and not rest[: box[0]].strip(" $\\([*"):
            found = self._named(box[2])
            behind = rest[box[1] :].partition("\n")[0]
            return found if found is not None and not self._names_another(behind, found) else None
        for end in reversed([match.start() for match in _END.finditer(line)]):
            found = self._named(line[:end])
            if found is not None:
                behind = line[end:]
                explained = not behind.startswith(" ") or _BECAUSE.match(behind)
                return found if explained or not self._names_another(behind, found) else None
        return None

    def open(self, rest: str) -> bool:
        """Whether nothing shows that the label is whole: the text ends with it, in mid-sentence."""
        return len(rest) < self.window and "\n" not in rest and not _SENTENCE_END.search(rest)

    def begun(self, rest: str) -> bool:
        """Whether the text ends with the beginning of a choice; a bare letter may begin any, or a list."""
        if not self.open(rest):
            return False
        letter, said = self._apart(rest)
        said = normal(said)
        if letter and not said:
            return ")" not in rest
        return bool(said) and any(text.startswith(said) and text != said for text in self.table.normals)

    def _named(self, written: str) -> str | None:
        """The choice that all of `written` names.

        Where letter and text disagree, or the text is no choice, the letter counts for nothing: what a
        teacher reasons about is the text. It decides between choices that only the letter tells apart.
        """
        letter, said = self._apart(written)
        by_letter = self._lettered(letter)
        if by_letter is not None and by_letter in (said.strip(), said.strip().rstrip(".")):
            return by_letter
        if found := named(written, self.choices):
            return found
        if letter and not normal(said):
            return by_letter
        text = said if letter else _clean(written)
        found = named(text, self.choices)
        if found is None and self.articles:
            found = named(_ARTICLE.sub("", text.strip()), self.choices)
        if found is None and by_letter is not None and normal(said) == normal(by_letter):
            return by_letter
        if found is None and by_letter is None and (spaced := _SPACED.fullmatch(text)) and self.lettered:
            first = self._lettered(spaced[1].lower())  # `B cup`
            return first if first is not None and named(spaced[2], self.choices) == first else None
        return found

    def _names_another(self, text: str, found: str) -> bool:
        """Whether what stands behind a choice, up to the end of its sentence, names a different one."""
        text = _SENTENCE.split(text, maxsplit=1)[0]
        words = normal(text)
        for other in self.table.normals:
            if other and other != normal(found) and re.search(rf"(?<!\w){re.escape(other)}(?!\w)", words):
                return True
        letters = [match[1] or match[2] for match in _MENTIONED.finditer(text.translate(_BRACKETS))]
        named_too = {self._lettered(letter.lower()) for letter in letters} if self.lettered else set()
        # `cup (b)`: the letter of a choice that disagrees with its text counts for nothing.
        alone = len(letters) == 1 and re.fullmatch(r"\W*\w\W*", text) is not None
        return not alone and bool(named_too - {None, found})

    def _lettered(self, letter: str) -> str | None:
        number = ord(letter) - ord("a") if letter else len(self.choices)
        return self.choices[number] if number < len(self.choices) else None

    def _apart(self, written: str) -> tuple[str, str]:
        """Letter and text of `(b) cup`; "" where there is no letter."""
        if not self.lettered:
            return "", written
        plain = _SQUARE.sub(r"(\1)", _clean(written).translate(_BRACKETS))
        plain = _SQUARE.sub(r"(\1)", _NAMED.sub("", plain, count=1) if _NAMED.match(plain) else plain)
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
    raw = " ".join(label.split())
    exact = raw.strip("*\"'“”` ")
    for written in (raw, exact, exact.rstrip(".").rstrip() if exact.endswith(".") else exact):
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


def _clean(text: str) -> str:
    """`text` without LaTeX, Markdown and quotes around it and in it, in which letters are looked for."""
    while match := _LATEX.match(text.strip().strip("$")):
        text = match[1] if match[1] is not None else match[2]
    text = _COMMAND.sub("", text)
    return text.replace("*", "").replace("`", "").strip(" \t\"'“”$")


def _boxed_another(text: str, cues: Sequence[Cue], last: Cue, reader: _Reader, label: str) -> bool:
    """Whether another box of the same sentence names another choice: `\\boxed{A} or \\boxed{B}`."""
    for cue in cues[: cues.index(last)]:
        between = text[cue.end : last.start]
        content = next(iter(boxes(between)), None)
        if content is not None and content[0] == 0 and not re.search(r"[.!?]\s|\n", between):
            return reader.choice(between[: content[1]]) != label
    return False


def _after(text: str, cue: Cue, length: int) -> str:
    """At most `length` characters of what follows a cue, without what wraps it."""
    at = cue.end
    while at < len(text) and text[at] in _WRAPPING and text[at] != "_":
        if text[at] == "." and text[at + 1 : at + 2].isdigit():
            break
        at += 1
    return text[at : at + length]
