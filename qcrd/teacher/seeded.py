"""Batched sampling with one seed per answer: its tokens do not depend on the rest of the batch.

Uses the Gumbel-max trick: the argmax of scores plus Gumbel noise is a draw from their softmax. Every answer
has its own random generator for the noise, and decoding is greedy. The draw is robust to the rounding
differences between batch shapes. Inverse-CDF sampling is less so, because rounding shifts all boundaries of
the cumulative sum.
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
    """Logits processors that turn greedy decoding of one batch into sampling.

    Args:
        temperature: sampling temperature; 0 keeps decoding greedy.
        top_p: nucleus mass.
        seeds: one per answer of the batch.
        device: of the scores. CPU and GPU generate different noise from the same seed.
    """
    chain: list[LogitsProcessor] = [Finite()]
    if temperature > 0:
        chain.append(TemperatureLogitsWarper(float(temperature)))
        if top_p < 1:
            chain.append(TopPLogitsWarper(top_p))
        chain.append(GumbelNoise(seeds, device))
    return chain


class GumbelNoise(LogitsProcessor):
    """Adds Gumbel noise to the scores of each position, with one generator per row."""

    def __init__(self, seeds: Sequence[int], device: torch.device):
        self.generators = [Generator(device).manual_seed(seed) for seed in seeds]

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Scores [B, V] in nats plus Gumbel noise, the negative logarithm of an exponential variable."""
        noise = torch.empty_like(scores)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores - noise.log_()


class Finite(LogitsProcessor):
    """Raises an error on NaN scores."""

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return the scores [B, V] unchanged.

        Raises:
            ConfigError: if a score is NaN.
        """
        if scores.isnan().any():
            raise ConfigError(
                "the teacher computes NaN; T5 does so in float16: set teacher.dtype to bfloat16 or float32"
            )
        return scores
