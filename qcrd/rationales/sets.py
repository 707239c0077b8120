"""Positives and negatives: what a question's samples offer for training (section 3.2.2)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from qcrd.types import Parsed, RationaleSet, Vote

Unread = Literal["drop", "negative"]
"""What a rationale becomes whose label could not be read."""


class Side(StrEnum):
    """What a sample's rationale is to its question."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNREAD = "unread"  # neither: its label could not be read
    EQUAL = "equal"  # neither: it has another label, and the words of a positive


def sides(samples: Sequence[Parsed], answer: str | None, unread: Unread = "drop") -> list[Side | None]:
    """What each sample's rationale is; None where it has none.

    A label that could not be read says nothing about the rationale before it. In the embedded preset 12 to
    13% of what would be negatives have the words of a positive of their question, for only their label could
    not be read: the same words would be pulled and pushed.

    Args:
        samples: of one question.
        answer: that positives have; None where nothing is a positive.
        unread: "negative" lets those without a readable label be negatives.
    """
    right = [s.answer is not None and s.answer == answer for s in samples]
    known = {normal(s.rationale) for s, ok in zip(samples, right, strict=True) if ok and s.rationale}
    return [_side(s, ok, known, unread) for s, ok in zip(samples, right, strict=True)]


def _side(sample: Parsed, right: bool, known: set[str], unread: Unread) -> Side | None:
    if not sample.rationale:
        return None
    if right:
        return Side.POSITIVE
    if sample.answer is None and unread == "drop":
        return Side.UNREAD
    return Side.EQUAL if normal(sample.rationale) in known else Side.NEGATIVE


def normal(text: str) -> str:
    """Equal for texts that have the same words: case, spaces and Unicode's forms do not count."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def build_set(
    result: Vote,
    samples: Sequence[Parsed],
    labels: Literal["gold", "teacher"],
    denoise: Literal["gold", "majority"],
    gold: tuple[str, str | None] | None,
    unread: Unread = "drop",
) -> RationaleSet:
    """Split the samples of one question.

    Args:
        result: the vote on its samples.
        samples: its m samples, in the order in which they were drawn.
        labels: whose label is trained on.
        denoise: what a positive's answer must equal, the gold answer or the winner of the vote.
        gold: (label, canonical answer); None where gold may not be known.
        unread: what a rationale becomes whose label could not be read.

    Returns:
        The label, the positives in sampling order, and as negatives those that have a rationale and another
        label; see `sides`. Doubles are kept: m samples are m votes.

    Raises:
        ValueError: where gold is asked for and not given.
    """
    if gold is None and "gold" in (labels, denoise):
        raise ValueError(f"{result.question_id}: labels={labels}, denoise={denoise} need the gold label")
    gold_label, gold_answer = gold or (None, None)
    answer = gold_answer if denoise == "gold" else result.answer
    assigned = sides(samples, answer, unread)

    def of(side: Side) -> tuple[str, ...]:
        rationales = (s.rationale for s, own in zip(samples, assigned, strict=True) if own is side)
        return tuple(r for r in rationales if r is not None)

    return RationaleSet(
        result.question_id,
        gold_label if labels == "gold" else result.label,
        positives=of(Side.POSITIVE),
        negatives=of(Side.NEGATIVE),
        order=tuple(own is Side.POSITIVE for own in assigned if own in (Side.POSITIVE, Side.NEGATIVE)),
        answer=answer,
        unread=assigned.count(Side.UNREAD),
        equal=assigned.count(Side.EQUAL),
    )
