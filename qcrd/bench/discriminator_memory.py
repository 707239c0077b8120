"""Memory of a discriminator's step on SVAMP's lengths: as one graph, and in chunks. Known, not run."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from transformers import T5Config

from qcrd.bench.workload import RIGHT, SIZES, Lengths, Size
from qcrd.discriminator.footprint import kept_bytes
from qcrd.discriminator.questions import DiscriminatorQuestion, Tokens, chunks

GIB = 2**30


@dataclass(frozen=True, slots=True)
class StepMemory:
    """What the gradient of one step keeps, in bytes of fp32."""

    m: int
    questions: int
    tokens: int
    max_tokens: int
    chunks: int
    whole: int  # bytes, all questions in one graph
    largest: int  # bytes, of the largest chunk

    def plain(self) -> dict:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people."""
        return (
            f"m = {self.m}: {self.questions} questions of {self.tokens:,} tokens; one graph "
            f"{self.whole / GIB:.1f} GiB; {self.chunks} chunks of at most {self.max_tokens:,} tokens "
            f"{self.largest / GIB:.1f} GiB"
        )


def bench_discriminator(
    size: Size, m: int, batch: int, max_tokens: int, augment: int = 2, seed: int = 0
) -> StepMemory:
    """Count the bytes that a discriminator's step keeps for its gradient, in both ways.

    Args:
        size: of the T5 that the encoder is of.
        m: the teacher's rationales per question.
        batch: questions.
        max_tokens: of a chunk.
        augment: augmented negatives per positive.
        seed: of the lengths.
    """
    dice = random.Random(seed)
    questions = [_question(dice, m, augment) for _ in range(batch)]
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


def _question(dice: random.Random, m: int, augment: int) -> DiscriminatorQuestion:
    lengths = Lengths()
    right: list[Tokens] = []
    wrong: list[Tokens] = []
    for number in range(m):
        side = right if number == 0 or dice.random() < RIGHT else wrong
        side.append([0] * lengths.rationale(dice))
    return DiscriminatorQuestion([0] * lengths.question(dice), right, wrong, right * augment)


def _lengths(questions: Sequence[DiscriminatorQuestion]) -> list[int]:
    groups = ((q.text, (*q.positives, *q.negatives, *q.augmented)) for q in questions)
    return [len(text) + len(rationale) for text, group in groups for rationale in group]
