"""Arithmetic as models and data sets write it: read by a grammar, valued exactly, never evaluated as code.

    expression := term (("+" | "-") term)*
    term       := unary (("*" | "/") unary)*
    unary      := ("-" | "+") unary | power
    power      := product ("^" unary)?
    product    := primary ("(" expression ")")*          # 2(3 + 4), (3 + 4)(2)
    primary    := number | "(" expression ")"
    number     := 84, 84.0, .5, 1,000, 1 000, 12,34,567, 3 1/2, 1e3, 5 million or 50% (its hundredth part)

`notation.plain` first rewrites LaTeX, Unicode, currencies and words such as `minus`; x before an operand is a
`*`, and `**` is a `^`. What is longer, deeper or larger than the bounds is not arithmetic here, so that no
output of a model can cost time or memory. `8/2(2+2)` and `1/2%` are none either, since people read them in
two ways.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from qcrd.tasks.notation import plain

MAX_LENGTH = 200  # characters
MAX_DEPTH = 50  # nested brackets and signs: more than a normal form of that length can have
MAX_MAGNITUDE = 10**15  # of numerator and denominator of every part
MAX_EXPONENT = 50  # 2 ** 50 is just above MAX_MAGNITUDE

_SCALES = {"hundred": 10**2, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_DIGITS = (
    r"(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]{1,2}(?:,[0-9]{2})+,[0-9]{3}(?![0-9])"
    r"|[1-9][0-9]{0,2}(?: [0-9]{3})+(?![0-9])|[0-9]+)"
)
_NUMBER = re.compile(
    rf"\s*(?:(?P<mixed>[0-9]+) (?P<above>[0-9]+)/(?P<below>[0-9]+)(?![0-9]|[.,][0-9])"
    rf"|(?P<digits>{_DIGITS}(?:\.[0-9]+)?|\.[0-9]+)(?P<power>[eE][-+]?[0-9]{{1,3}}(?![0-9A-Za-z.]))?"
    rf"(?:(?P<percent>%)|\s(?P<scale>{'|'.join(_SCALES)})\b)?)"
)
_SCALED = re.compile(rf"[0-9.]+(?:%|\s(?:{'|'.join(_SCALES)})\b)")
_SIGN = re.compile(r"\s*(\*\*|[-+*/^()–])")
_TIMES = re.compile(r"(?<![A-Za-z])(?<!\b0)[xX](?=\s*[0-9.(])")
_START = re.compile(r"(?<![0-9])(?<![0-9][.,])[0-9]|(?<![0-9A-Za-z])[(.–+-]")


@dataclass(frozen=True, slots=True)
class Equation:
    """A piece of arithmetic without `=`."""

    text: str  # normal form: single spaces, every operation in brackets, no trailing .0
    value: Fraction | None  # exact; None after a division by zero


def equation(text: str) -> Equation | None:
    """Parse `text` as an equation; None if it is not one."""
    if len(text) > 4 * MAX_LENGTH:
        return None
    text = plain(text)
    found, end = _read(text, 0)
    return found if found and not text[end:].strip() else None


def value(text: str) -> Fraction | None:
    """Value of the equation `text`; None if it is not an equation or divides by zero."""
    found = equation(text)
    return found.value if found else None


def normal(text: str) -> str | None:
    """`text` in the normal form `( 84 / 2 )`; None if it is not an equation."""
    found = equation(text)
    return found.text if found else None


def every(text: str) -> Iterator[tuple[Equation, int, int]]:
    """Find the equations in running text, each as long as possible, with its start and end.

    `text` is in plain notation (`notation.plain`). A sign, bracket or point that is part of a word (`x-5`,
    `No.5`) does not start an equation.
    """
    at = 0
    while match := _START.search(text, at):
        found, end = _read(text, match.start())
        if found:
            yield found, match.start(), end
        at = max(end, match.end())


class _NotArithmetic(Exception):
    """The text does not match the grammar."""


class _Refused(Exception):
    """The text exceeds the bounds, or is ambiguous."""


def _read(text: str, start: int) -> tuple[Equation | None, int]:
    """The longest equation from `start` on, and the position at which to search for the next one."""
    reader = _Reader(_TIMES.sub("*", text[start : start + MAX_LENGTH]))
    try:
        found = reader.expression(0)
    except _NotArithmetic:
        return None, start
    except _Refused:
        return None, start + reader.at  # skip its parts as well: trying each would take seconds
    whole = reader.at < MAX_LENGTH and len(found.text) <= MAX_LENGTH
    return found if whole else None, start + reader.at


class _Reader:
    """Recursive-descent parser over `text`; `at` is the current position."""

    def __init__(self, text: str):
        self.text = text
        self.at = 0

    def peek(self) -> tuple[str, int]:
        """The next sign or bracket, in plain form, and its end; "" if there is none."""
        match = _SIGN.match(self.text, self.at)
        if match is None:
            return "", self.at
        return {"**": "^", "–": "-"}.get(match[1], match[1]), match.end()

    def expression(self, depth: int) -> Equation:
        return self.operations("+-", self.term, depth)

    def term(self, depth: int) -> Equation:
        return self.operations("*/", self.unary, depth)

    def operations(self, signs: str, operand: Callable[[int], Equation], depth: int) -> Equation:
        left = operand(depth)
        divided = False
        while True:
            before = self.at
            sign, end = self.peek()
            if not sign or sign not in signs:
                if divided and sign == "(":
                    raise _Refused
                return left
            self.at = end
            divided = sign == "/"
            if divided and _SCALED.match(self.text, end):
                raise _Refused  # 1/2% and 1/2 million are no quotients by 2% or 2 million
            try:
                left = _combine(left, sign, operand(depth))
            except _NotArithmetic:  # "8 - apples" begins with the equation "8"
                self.at = before
                return left
            if divided and self.text[self.at - 1] == ")" and self.implied:
                raise _Refused  # 8/2(2+2)

    implied = False  # whether the operand read last was a product without a sign

    def unary(self, depth: int) -> Equation:
        if depth > MAX_DEPTH:
            raise _Refused
        self.implied = False
        sign, end = self.peek()
        if sign in ("-", "+"):
            self.at = end
            part = self.unary(depth + 1)
            return _negative(part) if sign == "-" else part
        base = self.product(depth)
        before = self.at
        sign, end = self.peek()
        if sign != "^":
            return base
        self.at = end
        try:
            return _power(base, self.unary(depth + 1))
        except _NotArithmetic:
            self.at = before
            return base

    def product(self, depth: int) -> Equation:
        begin = self.at
        left = self.primary(depth)
        decimal = "." in self.text[begin : self.at] and self.text[self.at - 1] != ")"
        implied = False
        while True:
            before = self.at
            sign, end = self.peek()
            # `5 (8 - 3)` may as well be an explanation: a bracket multiplies what it touches, or a bracket.
            touches = self.text[before - 1] == ")" or self.text[before : before + 1] == "("
            if sign != "(" or not touches:
                self.implied = implied
                return left
            if decimal:
                raise _Refused  # 0.3(3) is a third
            self.at = end
            try:
                left = _combine(left, "*", self.bracket(depth))
            except _NotArithmetic:  # "5(five)"
                self.at = before
                self.implied = implied
                return left
            implied = True

    def primary(self, depth: int) -> Equation:
        sign, end = self.peek()
        if sign == "(":
            self.at = end
            return self.bracket(depth)
        match = _NUMBER.match(self.text, self.at)
        if sign or match is None:
            raise _NotArithmetic
        self.at = match.end()
        return _number(match)

    def bracket(self, depth: int) -> Equation:
        """Parse the content of a bracket and the closing bracket; the opening one has been read."""
        part = self.expression(depth + 1)
        sign, end = self.peek()
        if sign != ")":
            raise _NotArithmetic
        self.at = end
        return part


def _number(match: re.Match[str]) -> Equation:
    if match["mixed"]:
        above, below = int(match["above"]), int(match["below"])
        if not 0 < above < below:
            raise _Refused  # `3 5/2` is no mixed number, and nothing else that could be meant
        return _written(_bounded(int(match["mixed"]) + Fraction(above, below)))
    digits = re.sub("[, ]", "", match["digits"])
    number = _bounded(Fraction(digits))
    if match["power"]:
        exponent = int(match["power"][1:])
        if abs(exponent) > MAX_EXPONENT:
            raise _Refused
        return _written(_bounded(number * Fraction(10) ** exponent))
    if match["scale"]:
        return _written(_bounded(number * _SCALES[match["scale"]]))
    if "." in digits:
        digits = digits.rstrip("0").rstrip(".")
    whole, _, decimals = digits.partition(".")
    percent = match["percent"] or ""
    text = (whole.lstrip("0") or "0") + (f".{decimals}" if decimals else "") + percent
    return Equation(text, number / 100 if percent else number)


def _written(number: Fraction) -> Equation:
    """The normal form of a number in another notation: an integer, a decimal or a fraction."""
    rest, places = number.denominator, 0
    for factor in (2, 5):
        while rest % factor == 0:
            rest //= factor
    if rest == 1:
        while number.denominator > 1 and (number * 10**places).denominator > 1:
            places += 1
        scaled = abs(number * 10**places).numerator
        digits = str(scaled).rjust(places + 1, "0")
        text = f"{digits[:-places]}.{digits[-places:]}" if places else digits
    else:
        text = f"( {abs(number.numerator)} / {number.denominator} )"
    return Equation(f"-{text}" if number < 0 else text, number)


def _power(base: Equation, exponent: Equation) -> Equation:
    if base.value is None or exponent.value is None:
        return Equation(base.text, None)
    n = exponent.value
    if n.denominator != 1 or abs(n) > MAX_EXPONENT:
        raise _Refused
    if base.value == 0 and n < 0:
        return Equation(base.text, None)
    return _written(_bounded(base.value ** int(n)))


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
