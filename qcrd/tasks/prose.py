"""Find the number that a sentence gives as its answer; refuse sentences with no number or several.

What touches or continues the number must be understood: a unit (`5 kg`, `60 miles/hour`), a reason (`5, since
8 - 3 = 5`), a closing bracket. `5 or 6`, `5:30`, `12,34`, `5 feet 6 inches`, `5-6`, `not 5` and `twice 5`
give no number, for the part that could be read would be another one. docs/reading.md lists what is read how.
"""

from __future__ import annotations

import re

from qcrd.tasks import equations, words
from qcrd.tasks.equations import Equation
from qcrd.tasks.notation import CURRENCY, plain

LONGEST = 500
"""Characters that are searched for an equation: more is no answer, and would take seconds."""

_WRAPPING = " \t\n$:*_`\"'“”"
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")
_MARKS = re.compile(r"[*_`]+")
# Of a label's sentence: neither within a number nor before what goes on with it.
_END = re.compile(
    r"\n|[.!?]+(?=[\s)\]}\"'”’*_`$<]|$|[A-Z])(?!\s*[-+*/×÷=^]\s*[0-9(])(?!(?<=\s\.)\s[0-9])(?! 000|'[0-9])"
)
_ABBREVIATED = re.compile(
    r"(?<![A-Za-z])(?:Rs|No|ca|Dr|Mr|Mrs|Ms|vs|approx|ft|in|yds?|mi|hrs?|mins?|secs?|lbs?|oz|pts?|qts?|gal|[ap]\.m)\.$",
    re.IGNORECASE,
)
_LIST = re.compile(r"\s*\n\s*(?:1[.)]|[-•–+])\s+\S")
_RANGE = re.compile(
    r"(?P<low>\d[\d.,/]*)(?P<per>%?)(?P<dash>\s?-\s?|\s?–\s?)(?P<high>\d[\d.,/]*)(?P<cent>%?)"
)
_DATE = re.compile(r"\d+([-/])\d+\1\d[\d\-/]*|\d+-\d+/\d+")  # and `3-1/2`, a mixed number for many
_LETTER = re.compile(r"(?<![A-Za-z\\])[a-zA-Z](?![A-Za-z])")  # a variable
_REMARK = re.compile(r"\([A-Za-z][A-Za-z \-]*\)")


def answer(rest: str) -> Equation | None:
    """The answer in the text after a cue; None if it has no number or several.

    Text in brackets must be an equation as a whole. For a calculation with units (`6 shirts / 3 = 2`) the
    answer is its result; for an equation before `=` (`30 - 23 = 7`) the answer is the equation.
    """
    rest = rest[:LONGEST]
    if _LIST.match(rest):
        return None
    money = any(sign in rest for sign in CURRENCY)
    rest = _unboxed(rest.lstrip(_WRAPPING))
    end = sentence_end(rest)
    sentence = plain(_unmarked(rest[: end.start()] if end else rest)).strip()
    if end and "..." in end[0]:  # `0.333...`, `5...`
        return None
    if end and sentence.endswith(",") and rest[end.end() :].lstrip()[:1].isdigit():  # `1,` and `234` below
        return None
    return _sentence(sentence, money)


def whole(text: str) -> Equation | None:
    """Parse all of `text`, such as the content of a box, as an equation; a unit may follow it."""
    text = text.strip().strip("$ ")
    return equations.equation(text) or _sentence(plain(_unboxed(text)).strip(" ."), False)


def last(text: str) -> Equation | None:
    """The last number or equation in `text`; None if the characters next to it are not understood."""
    text = plain(_unmarked(_unboxed(text[-LONGEST:])))
    found = list(equations.every(text))
    if not found:
        return None
    equation, start, stop = found[-1]
    before, after = text[:start], text[stop:]
    beside = not before or (words.TOUCHING.search(before) and not re.search(r"\d[:'_]$", before))
    ends = words.TOUCHED.match(after) or _END.match(after)
    if not beside or not ends or re.match(r"[:,]\d", after):
        return None
    return None if _ambiguous(text[start:stop], "") else equation


def boxes(text: str) -> list[tuple[int, int, str]]:
    """Start, end and content of each `\\boxed{...}` in `text`; one that is not closed is none."""
    found: list[tuple[int, int, str]] = []
    for match in _BOXED.finditer(text):
        if found and match.start() < found[-1][1]:
            continue  # within the one before
        end, depth = match.end(), 1
        while end < len(text) and depth and end - match.end() < LONGEST:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth:
            found.append((match.start(), end, text[match.end() : end - 1]))
    return found


def sign_before(text: str) -> str | None:
    """What of the text before a box belongs to the number in it: "", a minus; None where it is not known."""
    line = plain(_unmarked(text[max(text.rfind("\n") + 1, len(text) - 60) :])).rstrip(" $")
    if re.search(r"(?:^|[=:(,]|[A-Za-z]{2,})\s*-$", line):
        return "-"
    if re.search(r"[0-9)}]$", line) or not words.meant(f"{line} " if line else ""):
        return None
    return ""


def sentence_end(text: str) -> re.Match[str] | None:
    """Match of the end of the first sentence of `text`; None if it has no end."""
    for match in _END.finditer(text):
        abbreviated = _ABBREVIATED.search(text[max(0, match.start() - 8) : match.end()])
        if abbreviated is None or not re.match(r"\s+[0-9a-z]", text[match.end() :]):
            return match
    return None


def _unboxed(text: str) -> str:
    """`text` with the numbers of its boxes in brackets; a box without one leaves what no reader takes."""
    parts, at = [], 0
    for start, end, content in boxes(text):
        found = whole(content)
        percent = re.match(r"\s*\\?%", text[end:])
        parts += [text[at:start], "@" if found is None else found.text if percent else f"({found.text})"]
        at = end
    return "".join([*parts, text[at:]])


def _unmarked(text: str) -> str:
    """`text` without Markdown's emphasis; a `*` or `**` between two operands is arithmetic."""

    def kept(match: re.Match[str]) -> str:
        before, after = text[: match.start()], text[match.end() :]
        left, right = before.rstrip()[-1:], after.lstrip()[:1]
        operands = left in {*"0123456789)]}\\"} and right in {*"0123456789([{.-+$\\"}
        apart = len(match[0]) == 1 and before.endswith(" ") and after.startswith(" ")
        joins = match[0][0] == "_" and before[-1:].isalnum() and after[:1] not in {"", *" .,;:!?)*`\"'"}
        return match[0] if operands or joins or (apart and match[0][0] == "*") else ""

    return _MARKS.sub(kept, text)


def _sentence(sentence: str, money: bool) -> Equation | None:
    found = next(equations.every(sentence), None)
    if found is None:
        return None
    reason = words.REASON.search(sentence, found[2])
    main = sentence[: reason.start()] if reason else sentence
    if "=" not in main:
        return _alone(sentence, money)
    *calculations, result = main.split("=")
    value = _alone(result.strip(), money)
    if value is None:
        return None
    if not any(char.isdigit() for part in calculations for char in part):  # `x = 5`
        several = any(re.search(r"[,;]|\band\b|\bor\b", part) for part in calculations)
        return None if several else value
    read = [_calculation(part) for part in calculations]
    if len(read) == 1 and read[0] is not None:
        equation, exact = read[0]
        if not exact:
            return value
        # A wrong result beside an equation is the teacher's slip; two numbers are not the same one.
        return equation if equation.text.startswith(("(", "-(")) or equation.value == value.value else None
    values = {None if part is None or not part[1] else part[0].value for part in read} | {value.value}
    return read[0][0] if len(values) == 1 and read[0] else None


def _calculation(text: str) -> tuple[Equation, bool] | None:
    """What stands before `=`: an equation (True), or a calculation with units in it (False), or neither."""
    text = text.strip()
    found = list(equations.every(text))
    if not found or re.search(r",\s|;|\bif\b", text) or text.count("(") != text.count(")"):
        return None
    equation, start, stop = found[0]
    if not text[stop:].strip():
        return (equation, True) if _alone(text, False) is not None else None
    variable = any(
        not text[: m.start()].rstrip()[-1:].isdigit() or m[0] in "xyz" for m in _LETTER.finditer(text)
    )
    return (equation, False) if len(found) > 1 and not variable and words.meant(text[:start]) else None


def _alone(sentence: str, money: bool) -> Equation | None:
    """The number of a sentence that has only one; None otherwise."""
    found = next(equations.every(sentence), None)
    if found is None:
        return None
    equation, start, stop = found
    before, after = sentence[:start], re.sub(r"^\s+or\s+so\b", "", sentence[stop:])
    if sentence.startswith("(") and start > 0:
        return None
    if sentence[start] in "+-–":
        apart = sentence[start + 1 : start + 2] == " "
        if re.search(r"\w\s*$" if apart else r"(?<!\w)\w\s*$", before):
            return None  # `x + 5`, `cost - 5`, `x -5`; but `about -5`
    if not words.meant(before) or _ambiguous(sentence[start:stop], after) or not words.TOUCHED.match(after):
        return None
    if money and re.match(r"[mMkKbB]\b", after):
        return None
    reason = words.REASON.search(after)
    phrase = _REMARK.sub("", after[: reason.start()] if reason else after).rstrip(" ,;:")
    if re.match(r"[,:]\d", after) or words.CONTINUED.search(phrase) or words.OPEN.search(phrase):
        return None
    if sentence[stop - 1] == "%" and words.COMPARED.match(phrase):
        return None
    if reason and re.search(r"\d", after[reason.start() :]) and not words.FIRST.fullmatch(before):
        return None  # "In 3 hours, they make 15 toys"
    return equation


def _ambiguous(written: str, after: str) -> bool:
    """Whether a difference or quotient may also be a range or a date."""
    written = written.strip()
    if _DATE.fullmatch(written):
        return True
    span = _RANGE.fullmatch(written)
    if span is None:
        return False
    apart = span["dash"] == " - " and not re.match(r"\s*[A-Za-z]", after)
    if span["per"] or span["cent"]:
        return not apart
    low, high = (equations.value(span[name].rstrip(".,")) for name in ("low", "high"))
    return not apart and (low is None or high is None or low < high)
