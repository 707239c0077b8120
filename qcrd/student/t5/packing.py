"""Ragged rows without padding: tokens one after the other, and the rectangles that attention needs.

All that works on one token at a time (embeddings, norms, linear layers, the head) sees packed tokens alone;
only attention, a small share of a large T5's arithmetic but most of a small one's, spreads them into rows of
equal width, in several rectangles where the lengths differ much.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from qcrd.student.device import to_device

NARROWER = 0.7  # a rectangle of its own for rows that are narrower by this factor ...
WORTH = 2**15  # ... and save so many pairs of tokens, since a rectangle has a price of its own


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Rows of like lengths."""

    width: int
    rows: Tensor  # [r] long: which rows they are
    lengths: Tensor  # [r] long


@dataclass(frozen=True, slots=True)
class Layout:
    """Where N packed tokens lie in rectangles of rows and columns, one rectangle behind the other."""

    rectangles: tuple[Rectangle, ...]
    place: Tensor  # [N] long: among all cells, each at most once

    @classmethod
    def of(cls, lengths: Sequence[int], device: torch.device, apart: bool = True) -> Layout:
        """Each sequence in a row of its own, from its first column on.

        Args:
            lengths: of the sequences, in packed order; none of them 0.
            device: of the tokens.
            apart: whether short rows may have a rectangle of their own; else all are in one, in order.
        """
        return cls.grouped(lengths, range(len(lengths)), device, apart)

    @classmethod
    def grouped(
        cls, lengths: Sequence[int], group: Sequence[int], device: torch.device, apart: bool = True
    ) -> Layout:
        """Sequences of one group side by side in its row; the rows are the groups that have a sequence.

        Args:
            lengths: of the sequences, in packed order.
            group: the row of each.
            device: of the tokens.
            apart: as in `of`.
        """
        width: dict[int, int] = {}
        column = []
        for length, row in zip(lengths, group, strict=True):
            column.append(width.get(row, 0))
            width[row] = column[-1] + length
        order = sorted(width, key=lambda row: -width[row]) if apart else sorted(width)
        rectangles, begin, cells = [], {}, 0
        for rows in _alike(order, width) if apart else [order]:
            widest = max(width[row] for row in rows)
            for row in rows:
                begin[row] = cells
                cells += widest
            numbers = to_device([rows, [width[row] for row in rows]], device)
            rectangles.append(Rectangle(widest, *numbers))
        ranges = (
            range(begin[row] + left, begin[row] + left + length)
            for row, left, length in zip(group, column, lengths, strict=True)
        )
        return cls(tuple(rectangles), to_device(list(chain.from_iterable(ranges)), device))

    def spread(self, tokens: Tensor) -> list[Tensor]:
        """[N, ...] -> for each rectangle [r, width, ...], 0 where there is no token."""
        sizes = [len(part.rows) * part.width for part in self.rectangles]
        cells = _Spread.apply(tokens, self.place, sum(sizes)).split_with_sizes(sizes)
        return [
            part.view(-1, shape.width, *tokens.shape[1:])
            for part, shape in zip(cells, self.rectangles, strict=True)
        ]

    def collect(self, rectangles: Sequence[Tensor]) -> Tensor:
        """[r, width, ...] for each rectangle -> [N, ...]."""
        cells = [part.flatten(0, 1) for part in rectangles]
        return _Collect.apply(torch.cat(cells) if len(cells) > 1 else cells[0], self.place)

    def hidden(self, dtype: torch.dtype) -> list[Tensor]:
        """For each rectangle [r, 1, 1, width]: 0 at tokens, -inf where there are none."""
        found = []
        for part in self.rectangles:
            beyond = torch.arange(part.width, device=part.lengths.device) >= part.lengths[:, None]
            zeros = torch.zeros(beyond.shape, dtype=dtype, device=beyond.device)
            found.append(zeros.masked_fill_(beyond, -torch.inf)[:, None, None])
        return found


def _alike(order: Sequence[int], width: dict[int, int]) -> list[list[int]]:
    """Rows, widest first, in runs that share a rectangle."""
    runs: list[list[int]] = [[order[0]]]
    for number, row in enumerate(order[1:], 1):
        widest = width[runs[-1][0]]
        saved = (widest**2 - width[row] ** 2) * (len(order) - number)
        if width[row] <= NARROWER * widest and saved >= WORTH:
            runs.append([])
        runs[-1].append(row)
    return runs


class _Spread(torch.autograd.Function):
    """No two tokens share a place, so that neither direction has to add anything up."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, place: Tensor, cells: int) -> Tensor:
        ctx.save_for_backward(place)
        return tokens.new_zeros(cells, *tokens.shape[1:]).index_copy_(0, place, tokens)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad.index_select(0, ctx.saved_tensors[0]), None, None


class _Collect(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, cells: Tensor, place: Tensor) -> Tensor:
        ctx.save_for_backward(place)
        ctx.cells = len(cells)
        return cells.index_select(0, place)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad.new_zeros(ctx.cells, *grad.shape[1:]).index_copy_(0, ctx.saved_tensors[0], grad), None
