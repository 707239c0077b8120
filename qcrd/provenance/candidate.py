"""A rationale of a training question with its loss, quality and weight, which `choice` computes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A distinct rationale of a question."""

    text: str
    positive: bool | None  # False for a negative, None for neither
    draws: tuple[int, ...]  # numbers of the teacher's answers with this rationale
    loss: float | None = None  # l(f(x), r), nats per token; None without a student
    quality: float | None = None  # the discriminator's s, 0 to 1; None without a discriminator
    difficulty: float | None = None  # RD, nats per token; None if the selection does not measure it
    out: str = ""  # why it is neither, or why it was not selected
    share: float | None = None  # its share of the loss of its side; None if unknown
