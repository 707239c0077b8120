"""Parses the judge's answers, and combines the answers for both orders of a pair into one verdict."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Choice = Literal["1", "2", "both"]  # explanation by the order in which they were shown
Verdict = Literal["a", "both", "b"]  # cell

# Does not match "explanation 1 is better: 2 and 2 are ...", where a reason follows the colon.
_CUE = r"(?<!\bis )\bbetter(?:\s+explanation)?[\s*_]*(?::|\bis\b)"
_MARKS = r"[\s*_`\"'“”()\[\]<>:#]*"
_CHOICES = {
    "1": r"1|one|first",
    "2": r"2|two|second",
    "both": r"both|neither|tied?|equal|same",
}
_CHOICE = (
    rf"{_MARKS}(?:(?:the|explanation|number)\b{_MARKS})*"
    rf"(?:(?P<one>{_CHOICES['1']})|(?P<two>{_CHOICES['2']})|(?P<both>{_CHOICES['both']}))(?!\w|\.\d)"
)
_CUED = re.compile(_CUE + _CHOICE, re.IGNORECASE)
_BARE = re.compile(rf"{_CHOICE}{_MARKS}\.?\s*", re.IGNORECASE)
_MORE = re.compile(rf"{_MARKS}(?:and|or|[,/&|]){_CHOICE}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """The judge's answer for one order of a pair. Exactly one of `choice` and `reason` is None."""

    choice: Choice | None
    reason: str | None = None  # "no cue", "no choice", "several choices", "truncated", "no answer"


def read(text: str | None, finish_reason: str = "stop") -> Answer:
    """Parse the choice in a judge's answer, which may contain reasoning before it. Never raises.

    Uses the last line with a cue (`Better:`, `The better explanation is`) and a choice. Without any cue, the
    answer must consist of a choice alone.

    Args:
        text: the raw answer; None if the engine returned none.
        finish_reason: "length" if the answer was truncated by the token limit.
    """
    if text is None:
        return Answer(None, "no answer")
    for line in reversed(text.splitlines()):
        matches = list(_CUED.finditer(line))
        if matches:
            choices = {_chosen(match) for match in matches}
            several = len(choices) > 1 or _MORE.match(line, matches[-1].end())
            return Answer(None, "several choices") if several else Answer(choices.pop())
    if bare := _BARE.fullmatch(text):
        return Answer(_chosen(bare))
    if finish_reason == "length":
        return Answer(None, "truncated")
    return Answer(None, "no choice" if re.search(_CUE, text, re.IGNORECASE) else "no cue")


def verdict(shown_ab: Answer, shown_ba: Answer) -> Verdict | None:
    """Combine the answers for both orders: the side on which they agree, else "both".

    Args:
        shown_ab: the answer with A's explanation shown first.
        shown_ba: the answer with B's explanation shown first.

    Returns:
        The verdict, or None if one of the answers could not be parsed.
    """
    sides = {cell(shown_ab, "ab"), cell(shown_ba, "ba")}
    if None in sides:
        return None
    return sides.pop() if len(sides) == 1 else "both"


def cell(answer: Answer, order: Literal["ab", "ba"]) -> Verdict | None:
    """The cell whose explanation an answer chose, given the order in which they were shown."""
    if answer.choice is None or answer.choice == "both":
        return answer.choice
    return "a" if (answer.choice == "1") == (order == "ab") else "b"


def _chosen(match: re.Match[str]) -> Choice:
    return "1" if match["one"] else "2" if match["two"] else "both"
