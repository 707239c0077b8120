"""The rows of a shard that are valid under a token limit. Imports pyarrow: see `samples.shards`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from qcrd.samples import shards
from qcrd.types import Limit, Sample


class Rows:
    """Rows of one shard as read by `shards.read`, under a token limit.

    A row is valid if it was drawn under exactly this limit, or is complete and within `max_tokens`.
    """

    def __init__(self, table: pa.Table, limit: Limit):
        self._table, self._limit = table, limit

    def samples(self, wanted: Mapping[str, int] | None) -> Iterator[tuple[Sample, bool]]:
        """Valid samples, each with whether it was drawn under exactly this limit.

        Args:
            wanted: indices of the draws by prompt_id, as the bits of an integer; None: all.
        """
        table = self._table
        if wanted is not None:
            table = table.filter(_among(table["prompt_id"], wanted))
        exact, ended = self._masks(table)
        for mask, is_exact in ((exact, True), (ended, False)):
            for row in _values(table.filter(mask)):
                sample = Sample(*row)
                if wanted is None or wanted[sample.prompt_id] >> sample.index & 1:
                    yield sample, is_exact

    def keys(self) -> Iterator[tuple[str, int]]:
        """(prompt_id, index) of valid samples; duplicates are repeated."""
        valid = self._table.filter(pc.or_(*self._masks(self._table)))
        return zip(_texts(valid["prompt_id"]), valid["index"].to_pylist(), strict=True)

    def _masks(self, table: pa.Table) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
        """Two masks, bool [rows]: drawn under exactly this limit; otherwise complete within it."""
        limit, max_len = self._limit, pc.fill_null(table["max_len"], -1)
        exact = pc.and_(
            pc.equal(table["max_tokens"], limit.max_tokens),
            pc.equal(max_len, -1 if limit.max_len is None else limit.max_len),
        )
        within = pc.less_equal(table["tokens"], limit.max_tokens)
        ended = pc.and_(pc.equal(table["finish_reason"], "stop"), within)
        return exact, pc.and_not(ended, exact)


def _among(column: pa.ChunkedArray, wanted: Mapping[str, int]) -> pa.ChunkedArray:
    """Mask of the rows of a dictionary-encoded column whose value is in `wanted`."""
    return pa.chunked_array(
        [
            pa.array(np.array([v in wanted for v in chunk.dictionary.to_pylist()], bool)[chunk.indices])
            for chunk in column.chunks
        ],
        pa.bool_(),
    )


def _texts(column: pa.ChunkedArray) -> Iterator[str]:
    """Values of a dictionary-encoded column; equal values share one object."""
    for chunk in column.chunks:
        values = chunk.dictionary.to_pylist()
        yield from (values[code] for code in chunk.indices.to_pylist())


def _values(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The values of `shards.SAMPLE`, row by row."""
    columns = (
        _texts(table[name]) if name in shards.REPEATED else table[name].to_pylist() for name in shards.SAMPLE
    )
    return zip(*columns, strict=True)
