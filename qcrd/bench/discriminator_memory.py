"""Activation memory of a discriminator step for texts of SVAMP's lengths: in one graph, and in chunks.

Computed from shapes; no model is run.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from transformers import T5Config

from qcrd.bench.t5_workload import SIZES, Size
from qcrd.bench.texts import ACCURACY, Lengths
from qcrd.discriminator.footprint import kept_bytes
from qcrd.discriminator.questions import DiscriminatorQuestion, Tokens, chunks

GIB = 2**30


@dataclass(frozen=True, slots=True)
class StepMemory:
    """Bytes of fp32 activations that one step keeps for the gradient."""

    m: int
    questions: int
    tokens: int  # of all questions
    max_tokens: int  # per chunk
    chunks: int  # number of chunks
    whole: int  # bytes with all questions in one graph
    largest: int  # bytes of the largest chunk

    def summary(self) -> dict[str, int]:
        """All fields, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """Human-readable text."""
        return (
            f"m = {self.m}: {self.questions} questions of {self.tokens:,} tokens; one graph "
            f"{self.whole / GIB:.1f} GiB; {self.chunks} chunks of at most {self.max_tokens:,} tokens "
            f"{self.largest / GIB:.1f} GiB"
        )


def bench_discriminator(
    size: Size, m: int, batch: int, max_tokens: int, augment: int = 2, seed: int = 0
) -> StepMemory:
    """Compute the bytes that a discriminator step keeps for the gradient, in one graph and in chunks.

    Args:
        size: size of the T5 whose encoder is used.
        m: teacher rationales per question.
        batch: questions per step.
        max_tokens: maximum number of tokens per chunk.
        augment: augmented negatives per positive.
        seed: random seed of the lengths.
    """
    generator = random.Random(seed)
    questions = [_question(generator, m, augment) for _ in range(batch)]
    shape = T5Config(**SIZES[size], feed_forward_proj="relu", dropout_rate=0.0)
    runs = list(chunks(questions, max_tokens))
    return StepMemory(
        m,
        batch,
        sum(q.tokens for q in questions),
        max_tokens,
        len(runs),
        kept_bytes(shape, _lengths(questions)),
        max(kept_bytes(shape, _lengths(run)) for run in runs),
    )


def _question(generator: random.Random, m: int, augment: int) -> DiscriminatorQuestion:
    lengths = Lengths()
    positives: list[Tokens] = []
    negatives: list[Tokens] = []
    for number in range(m):
        group = positives if number == 0 or generator.random() < ACCURACY else negatives
        group.append([0] * lengths.rationale(generator))
    return DiscriminatorQuestion([0] * lengths.question(generator), positives, negatives, positives * augment)


def _lengths(questions: Sequence[DiscriminatorQuestion]) -> list[int]:
    groups = ((q.text, (*q.positives, *q.negatives, *q.augmented)) for q in questions)
    return [len(text) + len(rationale) for text, group in groups for rationale in group]
