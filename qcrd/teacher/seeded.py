"""Sampling in which an answer's seed decides each of its tokens, whatever is sampled beside it.

Of every answer's seed comes one uniform number per position, and a token is where that number falls in
the distribution's cumulative sum. So a token has exactly its probability, and the numbers are the same on
every device and in every batch.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from qcrd.errors import ConfigError


def uniforms(seeds: Sequence[int], length: int) -> Tensor:
    """[B, length] float64 in [0, 1): the numbers that decide the tokens of each answer."""
    rows = [torch.rand(length, generator=Generator().manual_seed(s), dtype=torch.float64) for s in seeds]
    return torch.stack(rows)


def processors(temperature: float, top_p: float, numbers: Tensor) -> list[LogitsProcessor]:
    """What turns greedy decoding into sampling.

    Args:
        temperature: 0 stays greedy.
        top_p: nucleus mass.
        numbers: [B, positions] from `uniforms`.
    """
    made: list[LogitsProcessor] = [Finite()]
    if temperature > 0:
        made.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1:
            made.append(TopPLogitsWarper(top_p))
        made.append(Drawn(numbers))
    return made


class Drawn(LogitsProcessor):
    """Leaves of each row's scores only the token that its number picks."""

    def __init__(self, numbers: Tensor):
        self.numbers = numbers

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] after the tokens `input_ids` [B, 1 + position]: 0 at the token, -inf elsewhere."""
        number = self.numbers[:, input_ids.shape[1] - 1, None]
        token = pick(scores, number)
        return torch.full_like(scores, -torch.inf).scatter_(1, token, 0.0)


class Finite(LogitsProcessor):
    """Refuses scores that are not numbers."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """The scores as they are.

        Raises:
            ConfigError: if one is NaN.
        """
        if scores.isnan().any():
            raise ConfigError(
                "the teacher computes NaN; T5 does so in float16: set teacher.dtype to bfloat16 or float32"
            )
        return scores


def pick(scores: Tensor, number: Tensor) -> Tensor:
    """[B, 1] tokens of scores [B, V] in nats at numbers [B, 1] in [0, 1).

    Token v is picked for a share softmax(scores)[v] of all numbers, and never where its score is -inf.
    """
    total = scores.double().softmax(-1).cumsum(-1)
    return torch.searchsorted(total, number * total[:, -1:], right=True)
