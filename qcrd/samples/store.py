"""Persistent store of the teacher's samples, which are drawn once and shared by all cells.

Each sampler has a folder with its identity and its shards. The token limit is not part of the identity but
is stored with each sample: an answer that ended below it is the same under a higher limit. Raising the limit
therefore redraws only truncated answers, and lowering it again finds the old ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd.errors import StoreError
from qcrd.fingerprint import canonical
from qcrd.samples import shards
from qcrd.samples.requests import Request, sampler_key
from qcrd.storage.bucket import Bucket
from qcrd.storage.files import read_json, write_json
from qcrd.storage.folder_lock import FolderLock
from qcrd.storage.lease import EXPIRY
from qcrd.types import Limit, Sample

if TYPE_CHECKING:
    from qcrd.samples.rows import Rows

log = logging.getLogger(__name__)

IDENTITY = "identity.json"
COMMITS = "commits.json"  # commits of the Hub model that samples were drawn with
FEW = 16  # number of small shards that `compact` tolerates

_LIMIT = ("finish_reason", "tokens", "max_tokens", "max_len")

Key = tuple[str, int]  # (prompt_id, index)


class SampleStore:
    """The samples of one sampler, in `root/<key of the identity>/`, that are valid under a token limit.

    A sample is valid if it was drawn under exactly this limit, or is complete and within `max_tokens`. (The
    length of its prompt is not known, so a lower `max_len` by itself redraws no complete answers.)

    Attributes:
        folder: the sampler's folder.
        limit: token limits of the answers.
        damaged: damaged shards that this object found, under the names they were moved to.

    Raises:
        StoreError: if the folder cannot be created or contains another sampler's identity.
    """

    def __init__(
        self,
        root: Path,
        identity: dict[str, Any],
        limit: Limit,
        *,
        bucket: Bucket | None = None,
        expiry: float = EXPIRY,
    ):
        self.folder = Path(root) / sampler_key(identity)
        self.limit = limit
        self.damaged: list[Path] = []
        self._identity = identity
        self._bucket = bucket
        self._lock = FolderLock(self.folder, bucket, wanted=_lasting, expiry=expiry)
        self._check()

    def load(self, requests: Iterable[Request] | None = None) -> dict[Key, Sample]:
        """Load valid samples by (prompt_id, index), a request's `key`.

        Questions with the same prompt share samples, which have the id of one of them. Damaged shards are
        logged, renamed to *.damaged and skipped; their samples count as missing and are drawn again.

        Args:
            requests: samples to load; None: all.
        """
        wanted = None if requests is None else _bits(r.key for r in requests)
        exact: dict[Key, Sample] = {}
        ended: dict[Key, Sample] = {}
        for rows in self._rows({*shards.SAMPLE, *_LIMIT}):
            for sample, is_exact in rows.samples(wanted):
                by_key, key = exact if is_exact else ended, (sample.prompt_id, sample.index)
                # The choice between two versions must not depend on the shards that contain them.
                if key not in by_key or sample.text < by_key[key].text:
                    by_key[key] = sample
        return ended | exact

    def missing(self, requests: Iterable[Request]) -> list[Request]:
        """Requests without a valid stored sample, without duplicates."""
        stored: dict[str, int] = {}
        for rows in self._rows({"prompt_id", "index", *_LIMIT}):
            _bits(rows.keys(), stored)
        return list({r.key: r for r in requests if not stored.get(r.prompt_id, 0) >> r.index & 1}.values())

    @property
    def commits(self) -> list[str]:
        """Commits of the Hub model that samples were drawn with, in order; [] if unknown."""
        return read_json(self.folder / COMMITS) or []

    def note_commit(self, commit: str) -> None:
        """Record that samples are drawn with the model at `commit`."""
        if commit not in (commits := self.commits):
            write_json(self.folder / COMMITS, [*commits, commit])

    def add(self, samples: Sequence[Sample], prompts: Mapping[str, str] | None = None) -> None:
        """Commit samples atomically as one shard. Requires the lock.

        Args:
            samples: samples drawn under the store's limit.
            prompts: prompts by prompt_id, stored with the samples for reference.

        Raises:
            StoreError: if the shard cannot be written, or this process does not hold the lock.
        """
        if not samples:
            return
        columns: dict[str, list[Any]] = {name: [getattr(s, name) for s in samples] for name in shards.SAMPLE}
        columns["prompt"] = [(prompts or {}).get(s.prompt_id, "") for s in samples]
        columns["max_tokens"] = [self.limit.max_tokens] * len(samples)
        columns["max_len"] = [self.limit.max_len] * len(samples)
        shards.write(self.folder, columns, self._lock.check)
        self._lock.push()

    def compact(self) -> None:
        """Merge small shards, of which a slow teacher produces many. Requires the lock."""
        merged = shards.merge(self.folder, self._lock.check, FEW)
        self._lock.push(gone=merged)

    def acquire(self, timeout: float | None = None) -> bool:
        """Acquire the lock that writing requires, waiting up to `timeout` seconds; see `Lease.acquire`."""
        if not self._lock.acquire(timeout):
            return False
        try:
            self._claim()  # the folder may have been removed while this process waited
            for leftover in self.folder.glob(shards.LEFTOVERS):  # of a killed process
                leftover.unlink(missing_ok=True)
            if self._bucket:
                self._drop_merged()
                self._lock.push()  # samples drawn before the bucket was configured
        except BaseException:
            self._lock.release(bring=False)
            raise
        return True

    def release(self) -> None:
        """Release the lock."""
        self._lock.release()

    def _claim(self) -> None:
        """Write the identity, or check the existing one."""
        if self._check():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / IDENTITY, self._identity)
        except OSError as error:
            raise StoreError(f"cannot use the sample store {self.folder}: {error}") from error

    def _drop_merged(self) -> None:
        """Remove local shards that another machine has since merged into others."""
        unknown: dict[Path, set[tuple[Any, ...]]] = {}
        for shard in shards.shards(self.folder):
            if not self._lock.in_bucket(shard.name):
                with suppress(FileNotFoundError, shards.DamagedShard):
                    unknown[shard] = set(shards.versions(shards.read(shard, shards.VERSION)))
        for shard in shards.shards(self.folder) if unknown else ():
            if shard not in unknown:
                with suppress(FileNotFoundError, shards.DamagedShard):
                    contained = set(shards.versions(shards.read(shard, shards.VERSION)))
                    for missing in unknown.values():
                        missing -= contained
        for shard, missing in unknown.items():
            if not missing:
                shard.unlink()

    def _check(self) -> bool:
        """Whether the folder has an identity, after checking that it is this sampler's. Writes nothing."""
        if self._bucket:
            self._bucket.pull(self.folder, lambda name: name == IDENTITY)
        path = self.folder / IDENTITY
        try:
            stored = read_json(path)
        except OSError as error:
            raise StoreError(f"cannot use the sample store {self.folder}: {error}") from error
        if stored is not None and canonical(stored) != canonical(self._identity):
            raise StoreError(
                f"{path} describes another sampler than the one asked for; the folder was edited or two "
                "samplers share its short id: move it away"
            )
        return stored is not None

    def _rows(self, columns: Iterable[str]) -> Iterator[Rows]:
        """The given columns of every undamaged shard."""
        if self._bucket:
            self._bucket.pull(self.folder, _lasting)
        for shard in shards.shards(self.folder):
            from qcrd.samples.rows import Rows  # imports pyarrow, which an empty store does not need

            try:
                yield Rows(shards.read(shard, sorted(columns)), self.limit)
            except FileNotFoundError:
                continue
            except shards.DamagedShard as error:
                log.warning("damaged samples, drawn again when needed: %s (%s)", shard, error)
                self.damaged.append(shards.put_aside(shard))
                if self._bucket and self._is_whole_in_bucket(self._bucket, shard):
                    yield Rows(shards.read(shard, sorted(columns)), self.limit)

    def _is_whole_in_bucket(self, bucket: Bucket, shard: Path) -> bool:
        """Download a shard that was damaged locally; if it is damaged in the bucket too, delete it there."""
        bucket.get([shard])
        try:
            shards.read(shard)
        except FileNotFoundError:
            return False
        except shards.DamagedShard:
            shard.unlink()
            bucket.remove([shard])
            return False
        return True


def _lasting(name: str) -> bool:
    """Whether a file of the folder is synchronised between machines."""
    return name in (IDENTITY, COMMITS) or name.endswith(".parquet")


def _bits(keys: Iterable[Key], bits: dict[str, int] | None = None) -> dict[str, int]:
    """Indices by prompt as the bits of an integer, which needs less memory than a set of millions of
    pairs."""
    bits = {} if bits is None else bits
    for prompt_id, index in keys:
        bits[prompt_id] = bits.get(prompt_id, 0) | 1 << index
    return bits
