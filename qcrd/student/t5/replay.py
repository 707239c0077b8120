"""Forward once, differentiate only what was chosen.

A `Recorder` runs a forward pass over all tokens without gradient and keeps what its linear layers gave, which
is nearly all of the arithmetic, and its dropout masks. A `Replay` runs the same code again over some of the
tokens, with gradient: each linear layer is looked up instead of computed, and each mask is the same. So the
values are those of the first pass, and the whole costs one forward pass over all tokens and one backward pass
over the chosen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout, linear, pad

from qcrd.student.t5.packing import Layout


class Arithmetic:
    """Linear layers and dropout as they are, computed where they stand."""

    known = False  # whether what linear layers give is looked up

    def __init__(self, rate: float):
        """`rate` of dropout; 0 where there is none, or in evaluation."""
        self.rate = rate

    def linear(self, tokens: Tensor, weight: Tensor) -> Tensor:
        """[N, in], [out, in] -> [N, out]."""
        return linear(tokens, weight)

    def dropout(self, tokens: Tensor) -> Tensor:
        """[N, ...] -> the same, with a share of its numbers 0 and the rest scaled up."""
        return dropout(tokens, self.rate) if self.rate else tokens

    def attention_dropout(self, shares: Sequence[Tensor], layout: Layout) -> list[Tensor]:
        """Dropout of attention's probabilities, [r, H, width, S] for each rectangle of `layout`."""
        return [dropout(part, self.rate) for part in shares]


class _Taped(Arithmetic):
    """One that draws masks token by token, so that those of some tokens can be looked up."""

    def attention_dropout(self, shares: Sequence[Tensor], layout: Layout) -> list[Tensor]:
        """As `Arithmetic.attention_dropout`."""
        widest = max(part.shape[3] for part in shares)
        wide = [pad(part, (0, widest - part.shape[3])).transpose(1, 2) for part in shares]
        dropped = layout.spread(self.dropout(layout.collect(wide)))
        return [
            part.transpose(1, 2)[..., : share.shape[3]] for part, share in zip(dropped, shares, strict=True)
        ]


class Recorder(_Taped):
    """The first pass."""

    def __init__(self, rate: float, keep: bool):
        """`keep` linear layers' outputs; where they would take too much memory they are computed again."""
        super().__init__(rate)
        self.keep = keep
        self.outputs: list[Tensor] = []
        self.masks: list[Tensor] = []

    def linear(self, tokens: Tensor, weight: Tensor) -> Tensor:
        """As `Arithmetic.linear`."""
        found = linear(tokens, weight)
        if self.keep:
            self.outputs.append(found)
        return found

    def dropout(self, tokens: Tensor) -> Tensor:
        """As `Arithmetic.dropout`."""
        if not self.rate:
            return tokens
        mask = torch.empty_like(tokens, dtype=torch.bool).bernoulli_(1 - self.rate)
        self.masks.append(mask)
        return tokens * mask / (1 - self.rate)


class Replay(_Taped):
    """The second pass, over some tokens of the first."""

    def __init__(self, first: Recorder, chosen: Tensor):
        """`chosen` [n] long: the tokens' numbers in the first pass, in the order of the second."""
        super().__init__(first.rate)
        self.outputs, self.masks, self.chosen = iter(first.outputs), iter(first.masks), chosen
        self.keep = self.known = first.keep

    def linear(self, tokens: Tensor, weight: Tensor) -> Tensor:
        """As `Arithmetic.linear`, but the values are the recorded ones."""
        if not self.keep:
            return linear(tokens, weight)
        return _Remembered.apply(tokens, weight, next(self.outputs).index_select(0, self.chosen))

    def dropout(self, tokens: Tensor) -> Tensor:
        """As `Arithmetic.dropout`, with the recorded mask, which may be wider (keys of longer rows)."""
        if not self.rate:
            return tokens
        mask = next(self.masks).index_select(0, self.chosen)[..., : tokens.shape[-1]]
        return tokens * mask / (1 - self.rate)


class _Remembered(torch.autograd.Function):
    """A linear layer whose output is known."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor, output: Tensor) -> Tensor:
        ctx.types = tokens.dtype, weight.dtype
        # Autocast does not reach into a Function: the output's type is the one that it computed in.
        ctx.save_for_backward(tokens.to(output.dtype), weight.to(output.dtype))
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight = ctx.saved_tensors
        grad = grad.to(weight.dtype)
        return (grad @ weight).to(ctx.types[0]), (grad.t() @ tokens).to(ctx.types[1]), None
