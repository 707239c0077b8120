"""Finds the one number that a sentence gives as its answer, and refuses where it gives none or several.

What touches or continues the number must be understood: a unit (`5 kg`, `60 miles/hour`), a reason (`5, since
8 - 3 = 5`), a closing bracket. `5 or 6`, `5:30`, `12,34`, `5 feet 6 inches`, `5-6`, `not 5` and `twice 5`
give no number, for the part that could be read would be another one. docs/reading.md lists what is read how.
"""

from __future__ import annotations

import re

from qcrd.tasks import equations
from qcrd.tasks.equations import Equation
from qcrd.tasks.notation import CURRENCY, plain

LONGEST = 500
"""Characters that are searched for an equation: more is no answer, and would take seconds."""

SENTENCE_END = re.compile(
    r"\n|(?<!\b(?:Rs|No|ca|Dr|Mr|Ms|vs))(?<!\bMrs)(?<!\bapprox)[.!?](?!\.*[\d:,/_]|'\d)"
)
_WRAPPING = " \t\n$:*_`\"'“”"
_MARKS = re.compile(r"[*_`]+")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{")

_NUMBERS = (
    "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen|twenty|thirty|forty|fifty|sixty|seventy|eighty|ninety|hundred|thousand|"
    "million|billion|dozen"
)
# Words before a number that make it another one, or none.
_NEGATED = re.compile(r"\b(?:not|cannot|neither|either|between|unless)\b|n't\b", re.IGNORECASE)
_CHANGED = re.compile(
    r"\b(?:than|least|most|from|times|by|over|under|below|above|beyond|within|up\s+to|close\s+to|next\s+to|"
    r"twice|double|triple|thrice|half|third|quarter|square|squared|cube|root|minus|negative|plus|less|except|"
    r"but|until|before|after|per|nor|no|or|and|option|choice|step|chapter|number\s+line|"
    rf"(?:half|third|quarter|twice|double|triple|root|square|cube|multiple|factor|out|instead|percent|%|"
    rf"some|none|each|{_NUMBERS})\s+of|{_NUMBERS})\s*[-(]?\s*$",
    re.IGNORECASE,
)
_TOUCHING = re.compile(r"[\s(\"'“”‘’=≈~*_`:]$")  # what a number may begin beside
_UNIT = (
    r"(?:kg|mg|g|km|cm|mm|m|ml|mL|l|L|lbs?|oz|ft|in|mi|mph|h|hrs?|mins?|min|sec|secs|s|cents?|"
    r"°\s?[CF]?|¢|c|-[A-Za-z]+(?:-[A-Za-z]+)?)"
)
_TOUCHED = re.compile(
    rf"(?:{_UNIT}(?:/[A-Za-z]+|[²³])?)(?![A-Za-z0-9])|/\s?[A-Za-z]{{2,}}|\s|[)\"'“”’;,:!?*_`]|$"
)
_REASON = re.compile(
    r"[,;]?\s+\(?(?:because|since|as|which|given|where|when|so|if|due)\b|[,;]\s+(?:and\s+)?(?:for|that|this|the|it|we|he|she|they|in|with)\b",
    re.IGNORECASE,
)
# Words behind a number that make it another one, or one of several.
_CONTINUED = re.compile(
    r"^[\s-]*(?:half|halves|thirds?|quarters?|fourths?|fifths?|sixths?|sevenths?|eighths?|ninths?|tenths?|"
    r"hundredths?|squared|cubed|factorial|dozens?|scores?|hundreds|thousands|millions|billions|"
    rf"(?:and|&)\s+(?:a\s+|one\s+)?(?:half|quarter|third)|(?:to|through|and|or|&)\s+(?:{_NUMBERS})\b|"
    r"(?:or|and)\s+(?:more|less|fewer|above|below|over|under|up)|at\s+(?:most|least)|below|remainder)\b|"
    rf"\bor\b(?!\s+so\b)|\bbelow\s+zero\b|\b(?:and|plus|minus|times)\s+(?:{_NUMBERS})\b|\b(?:{_NUMBERS})\b",
    re.IGNORECASE,
)
_OPEN = re.compile(r"[0-9½⅓⅔¼¾√π\\<>=^+±×÷·—–…|#@&]|\s[-*/]|[*/]\s?[-(]|-\s*$|\.\.\.")
_RANGE = re.compile(r"(\d[\d.,]*)\s?(-|\s?–\s?)(\d[\d.,]*)")
_DATE = re.compile(r"\d+([-/])\d+\1\d[\d\-/]*|\d+-\d+/\d+")  # and `3-1/2`, a mixed number for many


def answer(rest: str) -> Equation | None:
    """The number that the text after a cue gives, None where it gives none or several.

    What an opening bracket begins must be an equation as a whole. Where a calculation with units in it comes
    to a result in the same sentence (`6 shirts / 3 = 2`), the answer is that result; where the equation
    itself stands before `=` (`30 - 23 = 7`), it is the equation.
    """
    money = any(sign in rest[:LONGEST] for sign in CURRENCY)
    rest = rest.lstrip(_WRAPPING)[:LONGEST]
    boxed = boxes(rest.partition("\n")[0])
    if boxed:
        return None if len({plain(content).strip() for content in boxed}) > 1 else whole(boxed[-1])
    end = SENTENCE_END.search(rest)
    sentence = plain(_unmarked(rest[: end.start()] if end else rest)).strip()
    if end and rest.startswith("..", end.start() + 1):  # `0.333...`, `5...`
        sentence += "..."
    found = next(equations.every(sentence), None)
    if found is None or (sentence.startswith("(") and found[1] > 0):
        return None
    equation, start, stop = found
    calculation, equals, result = sentence.rpartition("=")
    if equals and len(calculation) >= stop:
        between = calculation[stop:].split("=")[0].strip(" )")
        if between:
            return _alone(result.strip(), money)
        return equation if _before(sentence[:start]) else None
    return _alone(sentence, money)


def whole(text: str) -> Equation | None:
    """The equation that all of `text` is, but for a unit behind it: what stands in a box."""
    text = text.strip().strip("$ ")
    return equations.equation(text) or _alone(plain(text).strip(" ."), False)


def last(text: str) -> Equation | None:
    """The last number or equation in `text`; None where what touches it is not understood."""
    boxed = boxes(text)
    if boxed:
        return whole(boxed[-1])
    text = plain(_unmarked(text[-LONGEST:]))
    found = [each for each in equations.every(text)]
    if not found:
        return None
    equation, start, stop = found[-1]
    before, after = text[:start], text[stop:]
    ends = not before or (_TOUCHING.search(before) and not re.search(r"\d[:'_]$", before))
    if not ends or not (_TOUCHED.match(after) or SENTENCE_END.match(after)) or re.match(r"[:,]\d", after):
        return None
    return None if _ambiguous(text[start:stop]) else equation


def boxes(text: str) -> list[str]:
    """What stands in each `\\boxed{...}` of `text`; one that is not closed counts as none."""
    found = []
    for match in _BOXED.finditer(text):
        end, depth = match.end(), 1
        while end < len(text) and depth and end - match.end() < LONGEST:
            depth += {"{": 1, "}": -1}.get(text[end], 0)
            end += 1
        if not depth:
            found.append(text[match.end() : end - 1])
    return found


def _unmarked(text: str) -> str:
    """`text` without Markdown's emphasis; a `*` or `**` between two operands is arithmetic."""

    def kept(match: re.Match) -> str:
        before, after = text[: match.start()], text[match.end() :]
        operands = before.rstrip()[-1:] in {*"0123456789)]}"} and after.lstrip()[:1] in {
            *"0123456789([{.-+$\\"
        }
        apart = len(match[0]) == 1 and before.endswith(" ") and after.startswith(" ")
        joins = match[0][0] == "_" and before[-1:].isalnum() and after[:1] not in {"", *" .,;:!?)*`\"'"}
        return match[0] if operands or joins or (apart and match[0][0] == "*") else ""

    return _MARKS.sub(kept, text)


def _alone(sentence: str, money: bool) -> Equation | None:
    """The only number of a sentence."""
    found = next(equations.every(sentence), None)
    if found is None:
        return None
    equation, start, stop = found
    if sentence.startswith("(") and start > 0:
        return None
    after = re.sub(r"^\s+or\s+so\b", "", sentence[stop:])
    if sentence[start] in "+-–":
        apart = sentence[start + 1 : start + 2] == " "
        if re.search(r"\w\s*$" if apart else r"(?<!\w)\w\s*$", sentence[:start]):
            return None  # `x + 5`, `cost - 5`, `x -5`; but `about -5`
    if not _before(sentence[:start]) or _ambiguous(sentence[start:stop]) or not _TOUCHED.match(after):
        return None
    if money and re.match(r"[mMkKbB]\b", after):
        return None
    reason = _REASON.search(after)
    phrase = (after[: reason.start()] if reason else after).rstrip(" ,;:")
    if re.match(r"[,:]\d", after) or _CONTINUED.search(phrase) or _OPEN.search(phrase):
        return None
    return equation


def _before(text: str) -> bool:
    """Whether a number after `text` is the one that is meant."""
    if text.count("(") > text.count(")"):
        return False
    if _NEGATED.search(text) or _CHANGED.search(text.rstrip("*_`\"'“” ")):
        return False
    if re.search(r"[-+*/^<>√±|#@—]\s*$", text):
        return False
    return not text or _TOUCHING.search(text) is not None


def _ambiguous(written: str) -> bool:
    """Whether it may be a range or a date as well as a difference or a quotient."""
    written = written.strip()
    if _DATE.fullmatch(written):
        return True
    span = _RANGE.fullmatch(written)
    if span is None:
        return False
    low, high = (equations.value(part.rstrip(".,")) for part in (span[1], span[3]))
    return low is None or high is None or low < high
