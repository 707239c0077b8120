"""Sampling in which an answer's seed decides each of its tokens, whatever is sampled beside it.

The Gumbel-max trick: the largest of scores plus Gumbel noise is a draw from their softmax. Every answer
has a generator of its own for the noise, and greedy decoding does the rest. Unlike an inverted cumulative
sum, whose many boundaries all move a little, it seldom changes its mind over the rounding that another
shape of batch brings.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor
from transformers import LogitsProcessor, TemperatureLogitsWarper, TopPLogitsWarper

from qcrd.errors import ConfigError


def processors(
    temperature: float, top_p: float, seeds: Sequence[int], device: torch.device
) -> list[LogitsProcessor]:
    """What turns greedy decoding into sampling, for one batch.

    Args:
        temperature: 0 stays greedy.
        top_p: nucleus mass.
        seeds: one for each of the batch's answers.
        device: of the scores. The noise is another on a GPU than on a CPU.
    """
    made: list[LogitsProcessor] = [Finite()]
    if temperature > 0:
        made.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1:
            made.append(TopPLogitsWarper(top_p))
        made.append(GumbelNoise(seeds, device))
    return made


class GumbelNoise(LogitsProcessor):
    """Adds noise to the scores of one position after the other."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self.generators = [Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] in nats with their noise: the negative logarithm of an exponential variable."""
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log_()


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
