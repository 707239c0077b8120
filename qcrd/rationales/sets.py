"""Positives and negatives: what a question's samples offer for training (section 3.2.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from qcrd.rationales.vote import vote
from qcrd.types import Parsed, RationaleSet


def build_set(
    question_id: str,
    samples: Sequence[Parsed],
    labels: Literal["gold", "teacher"],
    denoise: Literal["gold", "majority"],
    gold: tuple[str, str | None] | None,
) -> RationaleSet:
    """Split the samples of one question.

    Args:
        question_id: of the question.
        samples: its m samples, in the order in which they were drawn.
        labels: whose label is trained on.
        denoise: what a positive's answer must equal, the gold answer or the winner of the vote.
        gold: (label, canonical answer); None where gold may not be known.

    Returns:
        The label, the positives in sampling order, and the rest that has a rationale as negatives. A sample
        without a parsable label is never a positive. Doubles are kept: m samples are m votes.

    Raises:
        ValueError: where gold is asked for and not given.
    """
    if gold is None and "gold" in (labels, denoise):
        raise ValueError(f"{question_id}: labels={labels}, denoise={denoise} need the gold label")
    result = vote(question_id, samples)
    answer = gold[1] if denoise == "gold" else result.answer
    right = [s.answer is not None and s.answer == answer for s in samples]
    return RationaleSet(
        question_id,
        gold[0] if labels == "gold" else result.label,
        positives=tuple(s.rationale for s, ok in zip(samples, right, strict=True) if ok and s.rationale),
        negatives=tuple(s.rationale for s, ok in zip(samples, right, strict=True) if not ok and s.rationale),
        order=tuple(ok for s, ok in zip(samples, right, strict=True) if s.rationale),
        answer=answer,
    )
