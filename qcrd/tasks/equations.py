"""Arithmetic as models and data sets write it: read by a grammar, valued exactly, never evaluated as code.

    expression := term (("+" | "-") term)*
    term       := unary (("*" | "/") unary)*
    unary      := "-" unary | number | "(" expression ")"
    number     := 84, 84.0, .5, 1,000 or 50% (a percentage counts as its hundredth part)

The signs × ÷ − – are read as * / - -, and so is x before an operand. What is longer, deeper or larger than
the bounds is not arithmetic here, so that no output of a model can cost time or memory.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

MAX_LENGTH = 200  # characters
MAX_DEPTH = 50  # nested brackets and signs: more than a normal form of that length can have
MAX_MAGNITUDE = 10**15  # of numerator and denominator of every part

_SIGNS = str.maketrans({"×": "*", "÷": "/", "−": "-", "–": "-"})
_TOKEN = re.compile(r"\s*((?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?%?|\.[0-9]+%?|[-+*/()])")
_TIMES = re.compile(r"[xX](?=\s*[0-9.(])")
_START = re.compile(r"(?<![0-9])(?<![0-9][.,])[0-9]|(?<![0-9A-Za-z])[(.−–-]")


@dataclass(frozen=True, slots=True)
class Equation:
    """A piece of arithmetic without `=`."""

    text: str  # normal form: single spaces, every operation in brackets, no trailing .0
    value: Fraction | None  # exact; None after a division by zero


def equation(text: str) -> Equation | None:
    """The equation that `text` is, or None where it is none."""
    found, end = _read(text, 0)
    return found if found and not text[end:].strip() else None


def value(text: str) -> Fraction | None:
    """What the equation `text` comes to; None where it is no equation or divides by zero."""
    found = equation(text)
    return found.value if found else None


def normal(text: str) -> str | None:
    """`text` in the normal form `( 84 / 2 )`; None where it is no equation."""
    found = equation(text)
    return found.text if found else None


def every(text: str) -> Iterator[tuple[Equation, int, int]]:
    """The equations in running text, each as long as it goes, with its start and end.

    A sign, bracket or point that belongs to a word (`x-5`, `No.5`) starts nothing.
    """
    at = 0
    while match := _START.search(text, at):
        found, end = _read(text, match.start())
        if found:
            yield found, match.start(), end
        at = max(end, match.end())


class _NotArithmetic(Exception):
    """The text leaves the grammar."""


class _TooDeep(Exception):
    """The text leaves the bounds."""


def _read(text: str, start: int) -> tuple[Equation | None, int]:
    """The longest equation from `start` on, and where to look for the next one."""
    reader = _Reader(_TIMES.sub("*", text[start : start + MAX_LENGTH].translate(_SIGNS)))
    try:
        found = reader.expression(0)
    except _NotArithmetic:
        return None, start
    except _TooDeep:
        return None, start + reader.at  # none of its parts either: looking at each would take seconds
    whole = reader.at < MAX_LENGTH and len(found.text) <= MAX_LENGTH
    return found if whole else None, start + reader.at


class _Reader:
    """Recursive descent over `text`; `at` is where the part read so far ends."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0

    def peek(self) -> tuple[str, int]:
        match = _TOKEN.match(self.text, self.at)
        return (match[1], match.end()) if match else ("", self.at)

    def expression(self, depth: int) -> Equation:
        return self.operations("+-", self.term, depth)

    def term(self, depth: int) -> Equation:
        return self.operations("*/", self.unary, depth)

    def operations(self, signs: str, operand, depth: int) -> Equation:
        left = operand(depth)
        while True:
            before = self.at
            sign, end = self.peek()
            if not sign or sign not in signs:
                return left
            self.at = end
            try:
                left = _combine(left, sign, operand(depth))
            except _NotArithmetic:  # "8 - apples" is the equation "8"
                self.at = before
                return left

    def unary(self, depth: int) -> Equation:
        if depth > MAX_DEPTH:
            raise _TooDeep
        token, end = self.peek()
        if token == "-":
            self.at = end
            return _negative(self.unary(depth + 1))
        if token == "(":
            self.at = end
            part = self.expression(depth + 1)
            token, end = self.peek()
            if token != ")":
                raise _NotArithmetic
            self.at = end
            return part
        if not token or token in "+*/)":
            raise _NotArithmetic
        self.at = end
        return _number(token)


def _number(token: str) -> Equation:
    digits = token.replace(",", "").rstrip("%")
    percent = "%" if token.endswith("%") else ""
    number = _bounded(Fraction(digits))
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    whole, _, decimals = digits.partition(".")
    text = (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "") + percent
    return Equation(text, number / 100 if percent else number)


def _negative(part: Equation) -> Equation:
    text = part.text[1:] if part.text.startswith("-") else f"-{part.text}"
    return Equation(text, None if part.value is None else -part.value)


def _combine(left: Equation, sign: str, right: Equation) -> Equation:
    text = f"( {left.text} {sign} {right.text} )"
    if left.value is None or right.value is None or (sign == "/" and right.value == 0):
        return Equation(text, None)
    a, b = left.value, right.value
    result = a + b if sign == "+" else a - b if sign == "-" else a * b if sign == "*" else a / b
    return Equation(text, _bounded(result))


def _bounded(number: Fraction) -> Fraction:
    if abs(number.numerator) > MAX_MAGNITUDE or number.denominator > MAX_MAGNITUDE:
        raise _NotArithmetic
    return number
