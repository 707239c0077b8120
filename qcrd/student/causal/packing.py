"""Prompts and their completions as one packed sequence in which a shared prefix stands once.

The tokens of a batch lie one after the other without padding. They form segments: a prompt, what several
prompts have in common, or a completion. A token attends to its own segment up to itself and to the segments
that its own continues, so that a prompt is computed once for all its completions, at the positions that it
has in a sequence of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise

import torch
from torch import Tensor

from qcrd.student.device import to_device

Tokens = Sequence[int]

SHARED = 8  # tokens that prompts must have in common to share them: a segment has a price of its own
NARROWER = 0.75  # a rectangle of its own for segments that are narrower by this factor ...
WORTH = 2**13  # ... and save so many pairs of tokens


@dataclass(slots=True)
class Segment:
    """Tokens that continue another segment."""

    tokens: list[int]
    parent: int | None  # number of the segment that it continues, before it in the list
    start: int  # tokens before its own, in its sequence

    @property
    def end(self) -> int:
        """Tokens of its sequence up to its own last one."""
        return self.start + len(self.tokens)


@dataclass(slots=True)
class Forest:
    """The segments of some prompts and completions, each behind the one that it continues."""

    segments: list[Segment] = field(default_factory=list)

    def add(self, tokens: Tokens, parent: int | None) -> int:
        """The number of a new segment, or of `parent` where there are no tokens."""
        if not len(tokens) and parent is not None:
            return parent
        start = 0 if parent is None else self.segments[parent].end
        self.segments.append(Segment(list(tokens), parent, start))
        return len(self.segments) - 1

    def path(self, number: int) -> list[int]:
        """Segments from the first of a sequence to `number`."""
        path = [number]
        while (parent := self.segments[path[-1]].parent) is not None:
            path.append(parent)
        return path[::-1]


def share_prefixes(prompts: Sequence[Tokens]) -> tuple[Forest, list[int]]:
    """Segments of the prompts, and for each prompt the segment that it ends with.

    Equal prompts share all their segments; others share a common prefix of at least `SHARED` tokens.
    """
    forest = Forest()
    last: dict[tuple[int, ...], int] = {}
    _branch(forest, sorted({tuple(prompt) for prompt in prompts}), 0, 0, None, last)
    return forest, [last[tuple(prompt)] for prompt in prompts]


def _branch(
    forest: Forest,
    prompts: Sequence[tuple[int, ...]],
    depth: int,
    written: int,
    parent: int | None,
    last: dict[tuple[int, ...], int],
) -> None:
    """Add sorted prompts that agree in `depth` tokens, of which `written` are in `parent` and before it."""
    for run in _runs(prompts, depth):
        common = common_prefix(run[0], run[-1])
        if len(run) == 1:
            last[run[0]] = forest.add(run[0][written:], parent)
        elif common - written >= SHARED:
            node = forest.add(run[0][written:common], parent)
            rest = run
            if len(run[0]) == common:
                last[run[0]] = node
                rest = run[1:]
            _branch(forest, rest, common, common, node, last)
        else:
            rest = run
            if len(run[0]) == common:
                last[run[0]] = forest.add(run[0][written:], parent)
                rest = run[1:]
            _branch(forest, rest, common, written, parent, last)


def _runs(prompts: Sequence[tuple[int, ...]], depth: int) -> Iterator[Sequence[tuple[int, ...]]]:
    """Prompts in runs with the same token at `depth`."""
    edges = [n for n in range(1, len(prompts)) if prompts[n][depth] != prompts[n - 1][depth]]
    for begin, end in pairwise([0, *edges, len(prompts)]):
        if begin < end:
            yield prompts[begin:end]


def common_prefix(first: Tokens, second: Tokens) -> int:
    """Tokens that both begin with."""
    pairs = zip(first, second, strict=False)
    return next((n for n, (a, b) in enumerate(pairs) if a != b), min(len(first), len(second)))


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Segments of like lengths, c of them, padded to C queries and S keys."""

    queries: Tensor  # [c * C] long: packed token of each cell; padding repeats token 0
    keys: Tensor  # [c * S] long: packed tokens of the whole path
    visible: Tensor  # [c, C, S] bool: whether a query may attend to a key
    distance: Tensor  # [c, C, S] long: positions from key to query
    rows: int  # c
    alone: bool  # whether all keys are queries of the same cells: segments that continue nothing


@dataclass(frozen=True, slots=True)
class Layout:
    """N packed tokens of a forest, and the rectangles in which they attend."""

    ids: Tensor  # [N] long
    positions: Tensor  # [N] long: in the sequence of each
    begin: list[int]  # packed number of each segment's first token
    rectangles: tuple[Rectangle, ...]
    place: Tensor  # [N] long: cell of each token among the queries of all rectangles

    @classmethod
    def of(cls, forest: Forest, device: torch.device) -> Layout:
        """The layout of all segments, in their order."""
        segments = forest.segments
        begin = [0]
        for segment in segments:
            begin.append(begin[-1] + len(segment.tokens))
        positions = chain.from_iterable(range(s.start, s.end) for s in segments)
        rectangles, place, cells = [], [0] * begin[-1], 0
        for group in _alike(segments):
            width = max(len(segments[n].tokens) for n in group)
            span = max(segments[n].end for n in group)
            queries, keys = [], []
            for number in group:
                own = range(begin[number], begin[number + 1])
                path = [t for n in forest.path(number) for t in range(begin[n], begin[n + 1])]
                queries += [*own, *[0] * (width - len(own))]
                keys += [*path, *[0] * (span - len(path))]
                place[own.start : own.stop] = range(cells, cells + len(own))
                cells += width
            start = torch.tensor([segments[n].start for n in group])
            distance = start[:, None, None] + torch.arange(width)[:, None] - torch.arange(span)
            rectangles.append(
                Rectangle(
                    to_device(queries, device),
                    to_device(keys, device),
                    (distance >= 0).to(device, non_blocking=True),
                    distance.to(device, non_blocking=True),
                    len(group),
                    all(segments[n].parent is None for n in group),
                )
            )
        ids = list(chain.from_iterable(s.tokens for s in segments))
        return cls(
            to_device(ids, device),
            to_device(list(positions), device),
            begin,
            tuple(rectangles),
            to_device(place, device),
        )


def _alike(segments: Sequence[Segment]) -> list[list[int]]:
    """Segments in groups that share a rectangle: those that continue nothing apart from the others."""
    groups: list[list[int]] = []
    for roots in (True, False):
        order = [n for n, s in enumerate(segments) if (s.parent is None) == roots]
        order.sort(key=lambda n: (-segments[n].end, -len(segments[n].tokens)))
        widest = 0
        for place, number in enumerate(order):
            end = segments[number].end
            saved = (widest**2 - end**2) * (len(order) - place)
            if not place or (end <= NARROWER * widest and saved >= WORTH):
                groups.append([])
                widest = end
            groups[-1].append(number)
    return groups
