"""Shards: immutable Parquet files of samples, in one folder per sampler.

A shard is named after the SHA-256 of its bytes and is created by rename, so that partial and corrupted files
are detected by their name.

Functions that read or write Parquet import pyarrow themselves, so that listing a store does not need it.
"""

from __future__ import annotations

import errno
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd.errors import StoreError
from qcrd.storage.files import atomic

if TYPE_CHECKING:
    import pyarrow as pa

COLUMNS = {
    "prompt_id": "string",
    "question_id": "string",
    "index": "int32",
    "text": "string",
    "finish_reason": "string",
    "tokens": "int32",
    "prompt": "string",
    "max_tokens": "int32",  # the limit that it was drawn under
    "max_len": "int32",
}
"""Columns of a shard with their Arrow types."""
SAMPLE = ("prompt_id", "question_id", "index", "text", "finish_reason", "tokens")
"""Columns that are fields of `Sample`, in the same order."""
VERSION = ("prompt_id", "index", "max_tokens", "max_len", "text")  # columns that identify a version
REPEATED = ("prompt_id", "question_id", "finish_reason", "prompt")  # dictionary-encoded columns
LARGE = 50_000  # maximum samples per merged shard, which bounds the memory for reading one
LEFTOVERS = ".*.parquet.*.tmp"  # temporary files of killed writers
DAMAGED = ".damaged"  # suffix of damaged shards that were set aside


class DamagedShard(Exception):
    """A shard whose content does not match its name; the message says why."""


def shards(folder: Path) -> Iterator[Path]:
    """Yield every shard once, listing the folder again until there are no new ones.

    The repeated listing finds the merged shard if a merge replaces shards meanwhile.
    """
    seen: set[Path] = set()
    while new := sorted(set(folder.glob("*.parquet")) - seen):
        yield from new
        seen.update(new)


def read(shard: Path, columns: Sequence[str] = tuple(COLUMNS)) -> pa.Table:
    """Columns of a shard, those in `REPEATED` dictionary-encoded.

    Raises:
        FileNotFoundError: if it has been merged or set aside meanwhile.
        DamagedShard: if it is truncated or altered.
        StoreError: if read permission is missing.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        payload = shard.read_bytes()
    except PermissionError as error:
        raise StoreError(f"cannot read {shard}: {error}; make it readable for this user") from error
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ESTALE):  # the latter is NFS for the former
            raise FileNotFoundError(str(shard)) from error
        raise DamagedShard(str(error)) from error
    if checksum(payload) != shard.stem:
        raise DamagedShard(f"its checksum does not match its {len(payload)} bytes")
    try:
        # Without threads: Arrow's pools abort a process that ends soon after it has read a file.
        return pq.read_table(
            pa.BufferReader(payload),
            columns=list(columns),
            read_dictionary=[name for name in REPEATED if name in columns],
            use_threads=False,
            pre_buffer=False,
        )
    except (pa.ArrowException, KeyError) as error:
        raise DamagedShard(str(error)) from error


def write(folder: Path, columns: Mapping[str, Sequence[Any]], check: Callable[[], None]) -> Path:
    """Write a shard atomically.

    Args:
        folder: the sampler's folder.
        columns: values of each column in `COLUMNS`, all of the same length.
        check: called immediately before the shard is committed; may raise.

    Raises:
        StoreError: if it cannot be written.
    """
    import pyarrow as pa

    return _write(folder, pa.table(dict(columns), schema=_schema()), check)


def _write(folder: Path, table: pa.Table, check: Callable[[], None]) -> Path:
    import pyarrow as pa
    import pyarrow.parquet as pq

    buffer = pa.BufferOutputStream()
    pq.write_table(table, buffer, compression="zstd")
    payload = buffer.getvalue()
    shard = folder / f"{checksum(payload)}.parquet"
    try:
        with atomic(shard) as temporary:
            temporary.write_bytes(payload)
            check()
    except OSError as error:
        raise StoreError(f"cannot write samples to {folder}: {error}") from error
    return shard


def put_aside(shard: Path) -> Path:
    """Rename a damaged shard; returns its new path."""
    target = shard.with_name(shard.name + DAMAGED)
    try:
        return shard.rename(target)
    except OSError:  # a read-only store: it stays where it is
        return shard


def merge(folder: Path, check: Callable[[], None], few: int = 0) -> list[str]:
    """Merge small shards into larger ones, if there are more than `few` small ones.

    The new shard is written before the old ones are deleted: a crash in between leaves duplicates, which do
    not change what is read.

    Args:
        folder: the sampler's folder.
        check: raises if this process may no longer write to the folder.
        few: number of small shards to tolerate, so that not every draw rewrites them.

    Returns:
        Names of deleted shards.

    Raises:
        StoreError: if the folder cannot be written.
    """
    import pyarrow as pa

    small = [(shard, rows) for shard in shards(folder) if (rows := _rows(shard)) < LARGE // 2]
    gone: list[str] = []
    if len(small) <= few:
        return gone
    for group in _groups(small):
        tables = {}
        for shard in group:
            try:
                tables[shard] = read(shard).cast(_schema())
            except (FileNotFoundError, DamagedShard):  # reported when its samples are read
                continue
        if len(tables) < 2:
            continue
        merged = _write(folder, _distinct(pa.concat_tables(tables.values())), check)
        for shard in tables:
            if shard != merged:
                shard.unlink(missing_ok=True)
                gone.append(shard.name)
    return gone


def versions(table: pa.Table) -> Iterator[tuple[Any, ...]]:
    """The columns `VERSION` of each row, which identify a version of a sample."""
    return zip(*(table[name].to_pylist() for name in VERSION), strict=True)


def checksum(payload: bytes | pa.Buffer) -> str:
    """SHA-256 in hex."""
    return hashlib.sha256(payload).hexdigest()


def _schema() -> pa.Schema:
    import pyarrow as pa

    return pa.schema([(name, getattr(pa, kind)()) for name, kind in COLUMNS.items()])


def _rows(shard: Path) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return int(pq.read_metadata(shard).num_rows)
    except (pa.ArrowException, OSError):
        return 0


def _groups(small: list[tuple[Path, int]]) -> Iterator[list[Path]]:
    group: list[Path] = []
    size = 0
    for shard, rows in small:
        if size + rows > LARGE:
            yield group
            group, size = [], 0
        group.append(shard)
        size += rows
    yield group


def _distinct(table: pa.Table) -> pa.Table:
    first = dict(reversed([(key, row) for row, key in enumerate(versions(table))]))
    return table if len(first) == len(table) else table.take(sorted(first.values()))
