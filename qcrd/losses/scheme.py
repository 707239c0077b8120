"""Schemes: which of a question's rationales enter the loss, with which coefficients (sections 3.3.2 and 5.1).

Given the selection, every scheme of the paper is linear in the rationales' losses. A scheme is therefore a
function from values to coefficients without gradient. Rows with coefficient 0 need no backward pass, which
makes MinMax over many rationales cheap.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from qcrd.errors import ConfigError

if TYPE_CHECKING:  # planning only needs the schemes' names, without importing torch
    from torch import Generator, Tensor

Side: TypeAlias = "Callable[[Tensor, Tensor, Generator], Tensor]"
"""(values [B, M], mask [B, M] bool, generator on the CPU) -> coefficients [B, M], 0 where the mask is False.

Values are l(f(x), r) for positives and the hinge for negatives. Questions without a rationale (mask all
False) have coefficients 0."""


@dataclass(frozen=True, slots=True)
class Scheme:
    """A many-to-one distillation scheme."""

    name: str
    positives: Side
    negatives: Side
    needs_values: bool  # whether the selection depends on the losses, so that all rows must be scored first
    weighted: bool = True  # whether to multiply by the discriminator's weights s and 1 - s
    draws: bool = False  # whether a side uses the generator, so that the selection differs in each step

    def __post_init__(self) -> None:
        for name in ("positives", "negatives"):
            if not callable(side := getattr(self, name)):
                raise ConfigError(
                    f"scheme {self.name!r}: {name}: value {side!r}; allowed: a function of values, mask and "
                    "generator"
                )


def smallest(values: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """1 at the smallest value of each row (the first of equals)."""
    return _one_hot(values.masked_fill(~mask, math.inf).argmin(dim=1), mask)


def largest(values: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """1 at the largest value of each row (the first of equals)."""
    return _one_hot(values.masked_fill(~mask, -math.inf).argmax(dim=1), mask)


def one_at_random(values: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """1 at a uniformly drawn rationale of each row."""
    import torch

    # Drawn on the CPU so that a seed gives the same result on every device.
    draws = torch.rand(mask.shape, generator=generator).to(values.device)
    return _one_hot(draws.masked_fill(~mask, -1.0).argmax(dim=1), mask)


def average(values: Tensor, mask: Tensor, generator: Generator) -> Tensor:
    """1/n at each of a row's n rationales."""
    return mask / mask.sum(dim=1, keepdim=True).clamp(min=1)


def _one_hot(index: Tensor, mask: Tensor) -> Tensor:
    import torch

    chosen = torch.zeros(mask.shape, device=mask.device).scatter(1, index[:, None], 1.0)
    return chosen * mask
