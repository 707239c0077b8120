"""Positive and negative rationales from a question's samples (section 3.2.2)."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from enum import StrEnum
from typing import Literal

from qcrd.types import Parsed, RationaleSet, Vote

Unread = Literal["drop", "negative"]
"""How to treat a rationale whose label could not be parsed."""


class Side(StrEnum):
    """Role of a rationale in training."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    UNREAD = "unread"  # excluded: its label could not be parsed
    EQUAL = "equal"  # excluded: wrong label, but the same words as a positive


def sides(samples: Sequence[Parsed], answer: str | None, unread: Unread = "drop") -> list[Side | None]:
    """Classify each sample's rationale; None for samples without a rationale.

    An unparsable label says nothing about the rationale before it. In the embedded preset, 12 to 13% of the
    negatives would otherwise have the same words as a positive of their question, so that the loss would both
    raise and lower the likelihood of the same text.

    Args:
        samples: samples of one question.
        answer: canonical answer of the positives; None if there are no positives.
        unread: "negative" makes rationales without a parsable label negatives.
    """
    right = [s.answer is not None and s.answer == answer for s in samples]
    positives = {normal(s.rationale) for s, ok in zip(samples, right, strict=True) if ok and s.rationale}
    return [_side(s, ok, positives, unread) for s, ok in zip(samples, right, strict=True)]


def _side(sample: Parsed, right: bool, positives: set[str], unread: Unread) -> Side | None:
    if not sample.rationale:
        return None
    if right:
        return Side.POSITIVE
    if sample.answer is None and unread == "drop":
        return Side.UNREAD
    return Side.EQUAL if normal(sample.rationale) in positives else Side.NEGATIVE


def normal(text: str) -> str:
    """Normalise case, whitespace and Unicode form (NFKC)."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def build_set(
    result: Vote,
    samples: Sequence[Parsed],
    labels: Literal["gold", "teacher"],
    denoise: Literal["gold", "majority"],
    gold: tuple[str, str | None] | None,
    unread: Unread = "drop",
) -> RationaleSet:
    """Build the rationale set of one question.

    Args:
        result: the vote over its samples.
        samples: its m samples, in sampling order.
        labels: source of the training label.
        denoise: what a positive's answer must equal: the gold answer or the winner of the vote.
        gold: (label, canonical answer); None if gold labels must not be used.
        unread: how to treat a rationale whose label could not be parsed.

    Returns:
        The label, and the positives and negatives in sampling order; see `sides`. Duplicates are kept.

    Raises:
        ValueError: if `labels` or `denoise` require gold and it is None.
    """
    if gold is None and "gold" in (labels, denoise):
        raise ValueError(f"{result.question_id}: labels={labels}, denoise={denoise} need the gold label")
    gold_label, gold_answer = gold or (None, None)
    answer = gold_answer if denoise == "gold" else result.answer
    assigned = sides(samples, answer, unread)

    def of(side: Side) -> tuple[str, ...]:
        rationales = (s.rationale for s, its_side in zip(samples, assigned, strict=True) if its_side is side)
        return tuple(r for r in rationales if r is not None)

    return RationaleSet(
        result.question_id,
        gold_label if labels == "gold" else result.label,
        positives=of(Side.POSITIVE),
        negatives=of(Side.NEGATIVE),
        order=tuple(side is Side.POSITIVE for side in assigned if side in (Side.POSITIVE, Side.NEGATIVE)),
        answer=answer,
        unread=assigned.count(Side.UNREAD),
        equal=assigned.count(Side.EQUAL),
        negative_labels=tuple(
            s.label for s, side in zip(samples, assigned, strict=True) if side is Side.NEGATIVE
        ),
    )
