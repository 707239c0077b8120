"""Parsing of answers to questions with choices, and comparison of their labels as text."""

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

_WRAPPING = " \t\r\n\f\v*_`\"'“”.,;:!?"  # may surround a label in prose or Markdown
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
# Possible ends of a label: the end of its sentence, or the start of a reason or explanation.
_END = re.compile(
    r"[.!?](?=\s|$)|,?\s+(?:because|since)\b|,\s+(?:as|which|so|that|where|when|who|while|for|it|this)\b"
    r"|\s+[-–—]\s+|\s+(?=[(\[])|$"
)
_SENTENCE_END = re.compile(r"[.!?]\W*$")
_MARGIN = 80  # characters allowed for punctuation, letter and extra spaces around a label


class ChoiceTask(AnswerReader):
    """Base class of tasks whose labels are one of `Question.choices`; equal labels name the same choice.

    Attributes:
        lettered: whether questions list the choices as (a), (b), ..., so that answers may give letters.
    """

    kind = "choice"
    lettered = False

    def answer(self, label: str, question: Question) -> str | None:
        """Key of the choice that the label names; None if it names none (a letter alone does not)."""
        choice = named(label, question.choices)
        return None if choice is None else keys(question.choices)[choice]

    def correct(self, label: str, question: Question) -> bool:
        """Whether the label names the same choice as the gold label."""
        answer = self.answer(label, question)
        return answer is not None and answer == self.answer(question.label, question)

    def _read(self, text: str, cues: Sequence[Cue], question: Question, cut_off: bool) -> Parsed:
        """The label follows the last cue with text after it, and extends to the end of its sentence.

        The rationale ends before the first cue that is followed by a choice, because text such as "The answer
        is something sweet" is still reasoning. A label with several choices is invalid.

        An answer is `truncated` if the token limit cut it before the label was complete, or if it ends with
        the beginning of a choice (recorded answers have no finish reason).
        """
        last = next((cue for cue in reversed(cues) if _after(text, cue, 1)), None)
        if last is None:
            rationale = answers.reasoning(text[: cues[0].start])
            return Parsed(rationale, None, None, "truncated" if cut_off else "no label")
        reader = _Reader(question.choices, self.lettered)
        rest = _after(text, last, reader.window)
        label, incomplete = reader.choice(rest), reader.incomplete(rest)
        if label is not None and _another_boxed(text, cues, last, reader, label):
            label = None
        if label is None or (cut_off and incomplete):
            complete = not incomplete and not (cut_off and reader.may_continue(rest))
            reason = "not a choice" if complete else "truncated"
            return Parsed(answers.reasoning_before(text, cues, last), None, None, reason)
        # "The answer must be a body part" is still reasoning, although `body part` is a choice.
        strict = _Reader(question.choices, self.lettered, articles=False)
        first = next((c for c in cues if strict.choice(_after(text, c, reader.window)) is not None), last)
        return Parsed(answers.reasoning_before(text, cues, first), label, keys(question.choices)[label])

    def _bare(self, text: str, question: Question) -> Parsed | None:
        label = _Reader(question.choices, self.lettered).choice(text.strip())
        return None if label is None else Parsed(None, label, keys(question.choices)[label])

    def _last(self, text: str, question: Question) -> Parsed | None:
        """Parse by the last mentioned choice, by its text or its letter in brackets."""
        latest = (-1, -1, "")  # end, length and choice of the mention
        for choice in dict.fromkeys(question.choices):
            for match in re.finditer(rf"(?<!\w){re.escape(choice.strip())}(?!\w)", text, re.IGNORECASE):
                latest = max(latest, (match.end(), match.end() - match.start(), choice))
        if self.lettered:
            for match in re.finditer(r"\(([A-Za-z])\)", text):
                number = ord(match[1].lower()) - ord("a")
                if number < len(question.choices) and match.end() > latest[0]:
                    latest = (match.end(), 0, question.choices[number])
        label = latest[2]
        if latest[0] < 0:
            return None
        return Parsed(answers.reasoning(text), label, keys(question.choices)[label], uncued=True)


class _Reader:
    """Finds the choices of one question in the text after a cue, of which it needs `window` characters."""

    def __init__(self, choices: Sequence[str], lettered: bool, articles: bool = True):
        self.choices, self.lettered = tuple(choices), lettered
        self.table = _table(self.choices)
        self.articles = articles  # whether "the cup" names the choice "cup"
        self.window = _MARGIN + 2 * max(map(len, choices), default=0)

    def choice(self, rest: str) -> str | None:
        """The choice that `rest` starts with; if several ends are possible, the longest."""
        line = rest.partition("\n")[0]
        box = next(iter(boxes(rest)), None)
        if box is not None and not rest[: box[0]].strip(" $\\([*"):
            choice = self._named(box[2])
            after = rest[box[1] :].partition("\n")[0]
            return choice if choice is not None and not self._names_another(after, choice) else None
        for end in reversed([match.start() for match in _END.finditer(line)]):
            choice = self._named(line[:end])
            if choice is not None:
                after = line[end:]
                explained = not after.startswith(" ") or _BECAUSE.match(after)
                return choice if explained or not self._names_another(after, choice) else None
        return None

    def may_continue(self, rest: str) -> bool:
        """Whether the label may be incomplete, because the text ends with it in the middle of a sentence."""
        return len(rest) < self.window and "\n" not in rest and not _SENTENCE_END.search(rest)

    def incomplete(self, rest: str) -> bool:
        """Whether the text ends with the beginning of a choice; a bare letter may be the start of any."""
        if not self.may_continue(rest):
            return False
        letter, text = self._split_letter(rest)
        text = normal(text)
        if letter and not text:
            return ")" not in rest
        return bool(text) and any(choice.startswith(text) and choice != text for choice in self.table.normals)

    def _named(self, written: str) -> str | None:
        """The choice that the whole of `written` names.

        If letter and text disagree, or the text is not a choice, the letter is ignored, because a teacher
        reasons about the text. The letter decides between choices with the same normalised text.
        """
        letter, unlettered = self._split_letter(written)
        by_letter = self._by_letter(letter)
        if by_letter is not None and by_letter in (unlettered.strip(), unlettered.strip().rstrip(".")):
            return by_letter
        if choice := named(written, self.choices):
            return choice
        if letter and not normal(unlettered):
            return by_letter
        text = unlettered if letter else _clean(written)
        choice = named(text, self.choices)
        if choice is None and self.articles:
            choice = named(_ARTICLE.sub("", text.strip()), self.choices)
        if choice is None and by_letter is not None and normal(unlettered) == normal(by_letter):
            return by_letter
        if choice is None and by_letter is None and (spaced := _SPACED.fullmatch(text)) and self.lettered:
            by_letter = self._by_letter(spaced[1].lower())  # `B cup`
            same = by_letter is not None and named(spaced[2], self.choices) == by_letter
            return by_letter if same else None
        return choice

    def _names_another(self, text: str, choice: str) -> bool:
        """Whether the text after a choice, up to the end of the sentence, names a different one."""
        text = _SENTENCE.split(text, maxsplit=1)[0]
        words = normal(text)
        for other in self.table.normals:
            if other and other != normal(choice) and re.search(rf"(?<!\w){re.escape(other)}(?!\w)", words):
                return True
        letters = [match[1] or match[2] for match in _MENTIONED.finditer(text.translate(_BRACKETS))]
        mentioned = {self._by_letter(letter.lower()) for letter in letters} if self.lettered else set()
        # `cup (b)`: a single letter that disagrees with the text is ignored.
        alone = len(letters) == 1 and re.fullmatch(r"\W*\w\W*", text) is not None
        return not alone and bool(mentioned - {None, choice})

    def _by_letter(self, letter: str) -> str | None:
        number = ord(letter) - ord("a") if letter else len(self.choices)
        return self.choices[number] if number < len(self.choices) else None

    def _split_letter(self, written: str) -> tuple[str, str]:
        """Split `(b) cup` into letter and text; the letter is "" if there is none."""
        if not self.lettered:
            return "", written
        plain = _SQUARE.sub(r"(\1)", _clean(written).translate(_BRACKETS))
        plain = _SQUARE.sub(r"(\1)", _NAMED.sub("", plain, count=1) if _NAMED.match(plain) else plain)
        letter = _LETTER.match(plain)
        if letter is None:
            return "", written
        text = _DASH.sub("", plain[letter.end() :])
        if bracketed := re.fullmatch(r"\s*\(([^()]*)\)\W*", text):
            text = bracketed[1]
        return (letter[1] or letter[2]).lower(), text


def named(label: str, choices: Sequence[str]) -> str | None:
    """The choice that `label` names: by exact text, otherwise by normalised text if that is unambiguous."""
    table = _table(tuple(choices))
    raw = " ".join(label.split())
    exact = raw.strip("*\"'“”` ")
    for written in (raw, exact, exact.rstrip(".").rstrip() if exact.endswith(".") else exact):
        if written in table.exact:
            return table.exact[written]
    return table.unambiguous.get(normal(label))


def keys(choices: Sequence[str]) -> dict[str, str]:
    """Map each choice to its key, by which labels are compared. Different texts have different keys.

    The key is the normalised text if no other choice has the same one, otherwise the exact text.
    """
    return _table(tuple(choices)).keys


@dataclass(frozen=True, slots=True)
class _Table:
    exact: dict[str, str]  # text with single spaces -> choice
    unambiguous: dict[str, str]  # normalised text that only one choice has -> choice
    keys: dict[str, str]  # see `keys`
    normals: frozenset[str]  # normalised texts


@lru_cache(maxsize=4096)
def _table(choices: tuple[str, ...]) -> _Table:
    exact: dict[str, str] = {}
    by_normal: dict[str, list[str]] = {}
    for choice in choices:
        written = " ".join(choice.split())
        if exact.setdefault(written, choice) == choice:
            by_normal.setdefault(normal(choice), []).append(choice)
    unambiguous = {text: group[0] for text, group in by_normal.items() if text and len(set(group)) == 1}
    return _Table(
        exact,
        unambiguous,
        {c: normal(c) if normal(c) in unambiguous else " ".join(c.split()) for c in choices},
        frozenset(by_normal),
    )


def normal(text: str) -> str:
    """Normalise a text for comparison: lower case, single spaces, no surrounding punctuation.

    A decimal point before a digit (`.5`) and double underscores around a name (`__init__`) are kept.
    """
    text = " ".join(text.translate(_QUOTES).casefold().split())
    core = text.strip(_WRAPPING)
    start = text.find(core)
    if core[:1].isdigit() and text[:start].endswith("."):
        return f".{core}"
    if re.fullmatch(r"[*\"'`]*__\w+__\W*", text):
        return f"__{core}__"
    return core


def _clean(text: str) -> str:
    """`text` without LaTeX, Markdown and quotes, for finding letters."""
    while match := _LATEX.match(text.strip().strip("$")):
        text = match[1] if match[1] is not None else match[2]
    text = _COMMAND.sub("", text)
    return text.replace("*", "").replace("`", "").strip(" \t\"'“”$")


def _another_boxed(text: str, cues: Sequence[Cue], last: Cue, reader: _Reader, label: str) -> bool:
    """Whether another box in the same sentence names another choice, as in `\\boxed{A} or \\boxed{B}`."""
    for cue in cues[: cues.index(last)]:
        between = text[cue.end : last.start]
        box = next(iter(boxes(between)), None)
        if box is not None and box[0] == 0 and not re.search(r"[.!?]\s|\n", between):
            return reader.choice(between[: box[1]]) != label
    return False


def _after(text: str, cue: Cue, length: int) -> str:
    """At most `length` characters of the text after a cue, without leading punctuation."""
    start = cue.end
    while start < len(text) and text[start] in _WRAPPING and text[start] != "_":
        if text[start] == "." and text[start + 1 : start + 2].isdigit():
            break
        start += 1
    return text[start : start + length]
