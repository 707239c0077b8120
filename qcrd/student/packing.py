"""Ragged rows without padding: tokens one after the other, and the rectangle that attention needs.

All that works on one token at a time (embeddings, norms, linear layers, the head) sees packed tokens alone;
only attention, a small share of T5's arithmetic, spreads them into rows of equal width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


@dataclass(frozen=True, slots=True)
class Layout:
    """Where N packed tokens lie in a rectangle of rows and columns."""

    rows: int
    width: int
    place: Tensor  # [N] long: row * width + column, each at most once

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device) -> Layout:
        """Each sequence in a row of its own, from its first column on."""
        count = torch.tensor(lengths)
        width = int(count.max())
        mask = torch.arange(width) < count[:, None]
        return cls(len(lengths), width, mask.flatten().nonzero().squeeze(1).to(device, non_blocking=True))

    @classmethod
    def grouped(cls, lengths: Sequence[int], group: Sequence[int], rows: int, device: torch.device) -> Layout:
        """Sequences of one group side by side in its row.

        Args:
            lengths: of the sequences, in packed order.
            group: the row of each.
            rows: groups, of which some may have no sequence.
            device: of the tokens.
        """
        filled, begin = [0] * rows, []
        for length, row in zip(lengths, group, strict=True):
            begin.append((row, filled[row]))
            filled[row] += length
        width = max(filled)
        ranges = (
            range(row * width + column, row * width + column + length)
            for (row, column), length in zip(begin, lengths, strict=True)
        )
        place = torch.tensor(list(chain.from_iterable(ranges)), dtype=torch.long)
        return cls(rows, width, place.to(device, non_blocking=True))

    @property
    def full(self) -> bool:
        """Whether no column is empty, so that packed tokens in row order are the rectangle."""
        return len(self.place) == self.rows * self.width

    def mask(self) -> Tensor:
        """[rows, width] bool: True where there is a token."""
        found = torch.zeros(self.rows * self.width, dtype=torch.bool, device=self.place.device)
        return found.index_fill_(0, self.place, True).view(self.rows, self.width)

    def spread(self, tokens: Tensor) -> Tensor:
        """[N, ...] -> [rows, width, ...], 0 where there is no token."""
        found = _Spread.apply(tokens, self.place, self.rows * self.width)
        return found.view(self.rows, self.width, *tokens.shape[1:])

    def collect(self, rectangle: Tensor) -> Tensor:
        """[rows, width, ...] -> [N, ...]."""
        return _Collect.apply(rectangle.flatten(0, 1), self.place)


class _Spread(torch.autograd.Function):
    """No two tokens share a place, so that neither direction has to add anything up."""

    @staticmethod
    def forward(ctx, tokens: Tensor, place: Tensor, places: int) -> Tensor:
        ctx.save_for_backward(place)
        return tokens.new_zeros(places, *tokens.shape[1:]).index_copy_(0, place, tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rectangle: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.places = len(rectangle)
        return rectangle.index_select(0, place)

    @staticmethod
    @once_differentiable
    def backward(ctx, grad: Tensor):
        return grad.new_zeros(ctx.places, *grad.shape[1:]).index_copy_(0, ctx.saved_tensors[0], grad), None
