"""Reads what the judge answered, and makes one verdict of its answers to both orders of a pair."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Choice = Literal["1", "2", "both"]  # of the explanations as they were shown
Verdict = Literal["a", "both", "b"]  # of the cells as they were named

# Not "explanation 1 is better: 2 and 2 are ...", where what follows is a reason.
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
    """What the judge said about one order of a pair. `choice` is None exactly where `reason` says why."""

    choice: Choice | None
    reason: str | None = None  # "no cue", "no choice", "several choices", "truncated", "no answer"


def read(text: str | None, finish_reason: str = "stop") -> Answer:
    """The choice in a judge's answer, before which it may reason. Never raises.

    The last line with a cue (`Better:`, `The better explanation is`) and a choice counts; without any cue,
    an answer that is nothing but a choice does.

    Args:
        text: the raw answer, None where the engine had none.
        finish_reason: "length" where the token limit cut it off.
    """
    if text is None:
        return Answer(None, "no answer")
    for line in reversed(text.splitlines()):
        found = list(_CUED.finditer(line))
        if found:
            choices = {_chosen(match) for match in found}
            several = len(choices) > 1 or _MORE.match(line, found[-1].end())
            return Answer(None, "several choices") if several else Answer(choices.pop())
    if bare := _BARE.fullmatch(text):
        return Answer(_chosen(bare))
    if finish_reason == "length":
        return Answer(None, "truncated")
    return Answer(None, "no choice" if re.search(_CUE, text, re.IGNORECASE) else "no cue")


def verdict(shown_ab: Answer, shown_ba: Answer) -> Verdict | None:
    """What both orders come to: what they agree on, else both are good.

    Args:
        shown_ab: the answer where A's explanation was shown first.
        shown_ba: the answer where B's was.

    Returns:
        None where one of the answers could not be read.
    """
    sides = {cell(shown_ab, "ab"), cell(shown_ba, "ba")}
    if None in sides:
        return None
    return sides.pop() if len(sides) == 1 else "both"


def cell(answer: Answer, order: Literal["ab", "ba"]) -> Verdict | None:
    """The cell whose explanation an answer chose, given which was shown first."""
    if answer.choice is None or answer.choice == "both":
        return answer.choice
    return "a" if (answer.choice == "1") == (order == "ab") else "b"


def _chosen(match: re.Match[str]) -> Choice:
    return "1" if match["one"] else "2" if match["two"] else "both"
