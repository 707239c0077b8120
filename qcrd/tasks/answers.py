"""What all answers have in common, whatever their labels: RATIONALE, a cue, LABEL, and where they end.

Every pattern here takes time linear in the text, since a model may write anything.
"""

from __future__ import annotations

import re

# "the answer is", "the correct answer would be:" or "Answer:", also in bold type.
CUE = re.compile(
    r"(?:\*\*)?\b(?:the\s+(?:(?:final|correct|best)\s+)?answer\s+(?:is|would\s+be)\b\s*:?|Answer\s*:)",
    re.IGNORECASE,
)
# Where an answer runs on into an invented next question.
_NEXT = re.compile(r"\n[^\S\n]*(?:Q|Premise)\s*:|\bQuestion\s*:", re.IGNORECASE)
_OPENING = re.compile(r"\s*(?:A|Rationale)\s*:\s*")
_CONNECTIVE = re.compile(r"\b(?:hence|therefore|thus|so|then|and)$", re.IGNORECASE)


def first_answer(text: str) -> str:
    """`text` up to an invented next question."""
    following = _NEXT.search(text)
    return text[: following.start()] if following else text


def reasoning(text: str) -> str | None:
    """`text` without `Rationale:` before it or `Hence` behind it; None where nothing is left."""
    if opening := _OPENING.match(text):
        text = text[opening.end() :]
    return _CONNECTIVE.sub("", text.strip().rstrip(",; ")).strip().rstrip(",; ") or None


def target(rationale: str, label: str) -> str:
    """`RATIONALE The answer is LABEL.`, the form of Single-Task's targets."""
    return f"{rationale} The answer is {label}.".strip()
