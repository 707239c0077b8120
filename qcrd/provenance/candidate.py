"""A rationale of a training question with what it counted; what computes that is in `choice`."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Candidate:
    """A distinct rationale of a question."""

    text: str
    positive: bool | None  # None is neither
    draws: tuple[int, ...]  # the teacher's answers that give it
    loss: float | None = None  # l(f(x), r), nats per token; None without student
    quality: float | None = None  # the discriminator's s, 0 to 1; None without one
    difficulty: float | None = None  # RD, nats per token; None where the selection does not measure it
    out: str = ""  # why it is neither, or why the selection leaves it out
    share: float | None = None  # of its side's loss that the method gives it; None where it is not known
