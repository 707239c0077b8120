"""The teacher's samples on disk: drawn once, kept for good, shared by all cells.

A folder per sampler holds its identity and immutable Parquet shards. A shard is named after the SHA-256
of its bytes and appears by rename, so whatever a crash, a full disk or a bad sector leaves behind is told
from a good shard by its name alone.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock, Timeout

from qcrd.errors import StoreError
from qcrd.files import atomic, read_json, write_json
from qcrd.fingerprint import canonical
from qcrd.teacher.base import Request, sampler_key
from qcrd.types import Limit, Sample

log = logging.getLogger(__name__)

SCHEMA = pa.schema(
    [
        ("prompt_id", pa.string()),
        ("question_id", pa.string()),
        ("index", pa.int32()),
        ("text", pa.string()),
        ("finish_reason", pa.string()),
        ("tokens", pa.int32()),
        ("prompt", pa.string()),
    ]
)
_FIELDS = ("prompt_id", "question_id", "index", "text", "finish_reason", "tokens")

Key = tuple[str, int]  # (prompt_id, index)


class SampleStore:
    """The samples of one sampler, in `root/<key of the identity>/`.

    Attributes:
        folder: where they are.
        damaged: shards that this object found torn or altered, under the names they were moved to.

    Raises:
        StoreError: if the folder cannot be made or holds another sampler's identity.
    """

    def __init__(self, root: Path, identity: dict[str, Any], limit: Limit):
        self.folder = Path(root) / sampler_key(identity)
        self.limit = limit
        self.damaged: list[Path] = []
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._claim(identity)
        except OSError as error:
            raise StoreError(f"cannot use the sample store {self.folder}: {error}") from error

    def load(self) -> dict[Key, Sample]:
        """Every stored sample by (prompt_id, index), which is a request's `key`.

        Questions with the same prompt share samples, which carry the id of one of them.
        A shard that is torn or altered is reported, renamed to *.damaged and left out: its samples count
        as missing and are drawn again.
        """
        found: dict[Key, Sample] = {}
        for shard in sorted(self.folder.glob("*.parquet")):
            for sample in self._read(shard):
                found.setdefault((sample.prompt_id, sample.index), sample)
        return found

    def missing(self, requests: Iterable[Request]) -> list[Request]:
        """The requests without a stored sample, each prompt and index once."""
        found = self.load()
        return list({r.key: r for r in requests if r.key not in found}.values())

    def add(self, samples: Sequence[Sample], prompts: Mapping[str, str] | None = None) -> None:
        """Commit `samples` as one shard: all of them or, if anything goes wrong, none. Hold the lock.

        Args:
            samples: what was drawn.
            prompts: prompt_id to prompt, kept beside the samples so that they can be followed back.
        """
        if not samples:
            return
        rows = {name: [getattr(s, name) for s in samples] for name in _FIELDS}
        rows["prompt"] = [(prompts or {}).get(s.prompt_id, "") for s in samples]
        buffer = pa.BufferOutputStream()
        pq.write_table(pa.table(rows, schema=SCHEMA), buffer, compression="zstd")
        payload = buffer.getvalue().to_pybytes()
        try:
            with atomic(self.folder / f"{_checksum(payload)}.parquet") as temporary:
                temporary.write_bytes(payload)
        except OSError as error:
            raise StoreError(f"cannot write samples to {self.folder}: {error}") from error

    def compact(self) -> None:
        """Merge small shards. Hold the lock."""

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store: whoever comes second waits here, and then finds the work done.

        The lock goes with the process that holds it, so a killed one leaves none behind.
        """
        lock = FileLock(self.folder / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            log.warning("another job is sampling this teacher; waiting for it (%s)", self.folder)
            lock.acquire()
        try:
            for leftover in self.folder.glob(".*.parquet.*.tmp"):  # of a killed holder
                leftover.unlink(missing_ok=True)
            yield
        finally:
            lock.release()

    def _claim(self, identity: dict[str, Any]) -> None:
        """Write the identity, or check the one that is there."""
        path = self.folder / "identity.json"
        stored = read_json(path)
        if stored is None:
            write_json(path, identity)
        elif canonical(stored) != canonical(identity):
            raise StoreError(
                f"{path} describes another sampler than the one asked for; the folder was edited or two "
                "samplers share its short id: move it away"
            )

    def _read(self, shard: Path) -> list[Sample]:
        try:
            payload = shard.read_bytes()
        except FileNotFoundError:  # another process has just moved it aside
            return []
        except PermissionError as error:
            raise StoreError(f"cannot read {shard}: {error}; make it readable for this user") from error
        except OSError as error:
            return self._set_aside(shard, str(error))
        if _checksum(payload) != shard.stem:
            return self._set_aside(shard, f"checksum does not match its {len(payload)} bytes")
        try:
            # Without threads: Arrow's pools abort a process that ends soon after it has read a file.
            source = pa.BufferReader(payload)
            table = pq.read_table(source, columns=list(_FIELDS), use_threads=False, pre_buffer=False)
        except (pa.ArrowException, KeyError) as error:
            return self._set_aside(shard, str(error))
        return [Sample(*row) for row in zip(*(table.column(f).to_pylist() for f in _FIELDS), strict=True)]

    def _set_aside(self, shard: Path, why: str) -> list[Sample]:
        target = shard.with_name(shard.name + ".damaged")
        log.warning("damaged samples, drawn again when needed: %s (%s)", shard, why)
        try:
            shard.rename(target)
        except OSError:  # a read-only store: report it where it lies
            target = shard
        self.damaged.append(target)
        return []


def _checksum(payload: bytes) -> str:
    return hashlib.sha256(payload).hexdigest()
