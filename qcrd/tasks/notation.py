"""Rewrites LaTeX, Unicode and number words into the plain notation that `equations` parses.

`\\frac{7}{2}`, `3½`, `4 · 2`, `minus 5`, `-$5` and `[10 - 5]` become `((7)/(2))`, `3 1/2`, `4 * 2`,
`-5`, `-5` and `(10 - 5)`. Nothing is evaluated. Unknown notation is left unchanged, so that the parser
rejects it. Every pattern takes time linear in the length of the text.
"""

from __future__ import annotations

import re

CURRENCY = "$€£¥₹"
_VULGAR = {
    "½": "1/2",
    "⅓": "1/3",
    "⅔": "2/3",
    "¼": "1/4",
    "¾": "3/4",
    "⅕": "1/5",
    "⅖": "2/5",
    "⅗": "3/5",
    "⅘": "4/5",
    "⅙": "1/6",
    "⅚": "5/6",
    "⅐": "1/7",
    "⅛": "1/8",
    "⅜": "3/8",
    "⅝": "5/8",
    "⅞": "7/8",
    "⅑": "1/9",
    "⅒": "1/10",
}
_DIGITS = str.maketrans({chr(0xFEE0 + ord(digit)): digit for digit in "0123456789"})
_SUPERSCRIPT = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
_CHARACTERS = str.maketrans(
    {
        **{sign: "*" for sign in "×∗·⋅∙✕✖⨯"},
        **{sign: "/" for sign in "÷⁄∕"},
        **{sign: "-" for sign in "−‒﹣"},
        **{space: " " for space in "\u00a0\u202f\u2009\u2007\u2002\u2003\u3000"},
        **{bracket: "(" for bracket in "[{⟨【〔"},
        **{bracket: ")" for bracket in "]}⟩】〕"},
        # Full-width forms of ASCII.
        **{chr(0xFEE0 + ord(c)): c for c in "0123456789+-*/()=.,:%$"},
        "［": "(", "］": ")", "｛": "(", "｝": ")",
    }
)  # fmt: skip
_NUMERAL = r"(?=\s*[-+(]?\s*[$€£¥₹]?\s*[-(]?\s*(?:[0-9(]|\.[0-9]))"  # a number or bracket follows
_WORDS = [
    (re.compile(rf"\b(?:minus|negative)\b\s*{_NUMERAL}", re.IGNORECASE), "-"),
    (re.compile(rf"\bplus\b{_NUMERAL}", re.IGNORECASE), "+"),
    (re.compile(rf"\b(?:times|multiplied\s+by)\b{_NUMERAL}", re.IGNORECASE), "*"),
    (re.compile(rf"\bdivided\s+by\b{_NUMERAL}", re.IGNORECASE), "/"),
    (re.compile(r"(?<=[0-9)])\s?(?:percent|per\s+cent|pct)\b(?!\s*age)", re.IGNORECASE), "%"),
    (re.compile(r"(?<=[0-9])\s+%"), "%"),
]
_LATEX = [
    (re.compile(r"\\(?:left|right|[bB]igg?[lr]?)(?![A-Za-z])"), ""),
    (re.compile(r"\\[dt]?frac\s*([0-9])\s*([0-9])(?![0-9])"), r"\\frac{\1}{\2}"),
    (re.compile(r"\\(?:times|cdot|ast)(?![A-Za-z])"), "*"),
    (re.compile(r"\\div(?![A-Za-z])"), "/"),
    (re.compile(r"\{,\}"), ","),  # LaTeX's 1{,}234
    (re.compile(r"(?<=[0-9])\\[,;:! ](?=[0-9]{3})"), " "),
    (re.compile(r"\\[,;:! ]|\\q?quad(?![A-Za-z])|~"), " "),
    (re.compile(r"\\([$%*])"), r"\1"),
    (re.compile(r"\s*\^\s*\{?\\circ(?![A-Za-z])\s*\}?"), "°"),
    (re.compile(r"\\[()\[\]]"), " "),
    (re.compile(r"\\(?:text|textbf|textit|mathrm|mathbf|mathit|operatorname)\s*\{([^{}]*)\}"), r"\1"),
]
# With a number before it, the fraction is part of a mixed number.
_FRACTION = re.compile(r"([0-9]?)\s*\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}")
_SIMPLE = re.compile(r"\s*[0-9]+\s*")
_POWER = re.compile(r"\^\s*\{([^{}]*)\}")
_RAISED = re.compile(r"(?<=[0-9)])([⁻]?[⁰¹²³⁴⁵⁶⁷⁸⁹]+)")
_HALF = re.compile(f"([0-9]?)\\s?([{''.join(_VULGAR)}])(?![0-9{''.join(_VULGAR)}])(?<![{''.join(_VULGAR)}].)")
# 5 cm^2: the power belongs to the unit.
_UNIT = re.compile(r"(?<=[A-Za-z])\s?\^\s?(?:\{[23]\}|[23](?![0-9]))")
_UNITS = re.compile(r"\b(?:[ckm]?m|ft|in|units?|inches|feet|met(?:er|re)s?|miles?|yards?)\s?$", re.IGNORECASE)
# A sign may be on either side of a currency symbol, which does not affect the value.
_BEFORE = re.compile(r"(?:\b(?:US|CA|AU|NZ|HK|S|C|A)(?=\$))?[$€£¥₹]+\s*(?=[-+]?\s*(?:[0-9(]|\.[0-9]))")
_AFTER = re.compile(r"(?<=[0-9)%])\s?[$€£¥₹]+")


def plain(text: str) -> str:
    """Rewrite the arithmetic in `text` into plain notation. Other text only has its brackets replaced."""
    if "\\" in text or "{,}" in text:
        for pattern, new in _LATEX:
            text = pattern.sub(new, text)
        text = _FRACTION.sub(_fraction, text)
    text = text.translate(_DIGITS)
    if "^" in text:
        text = _UNIT.sub(lambda match: "" if _UNITS.search(text, 0, match.start()) else match[0], text)
    text = _POWER.sub(r"^(\1)", text)
    text = _RAISED.sub(lambda match: f"^({match[1].translate(_SUPERSCRIPT)})", text)
    text = _HALF.sub(_vulgar, text)
    text = text.translate(_CHARACTERS)
    for pattern, new in _WORDS:
        text = pattern.sub(new, text)
    return _AFTER.sub("", _BEFORE.sub("", text))


def _vulgar(match: re.Match[str]) -> str:
    return f"{match[1]} {_VULGAR[match[2]]}" if match[1] else f"({_VULGAR[match[2]]})"


def _fraction(match: re.Match[str]) -> str:
    whole, numerator, denominator = match.groups()
    if whole and _SIMPLE.fullmatch(numerator) and _SIMPLE.fullmatch(denominator):
        return f"{whole} {numerator.strip()}/{denominator.strip()}"
    if whole:  # `2\frac{x}{3}`: ambiguous; with brackets the parser decides
        return f"{whole}(({numerator})/({denominator}))"
    return f"(({numerator})/({denominator}))"
