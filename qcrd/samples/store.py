"""The teacher's samples on disk: drawn once, kept for good, shared by all cells.

A folder per sampler holds its identity and its shards. The limit at which answers are cut off is no part
of the identity but is kept with each sample: one that ended before it is the same under a higher limit, so
a raised limit redraws only what was cut off, and going back finds the old ones.
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
COMMITS = "commits.json"  # of the model that samples were drawn with, where it is from the Hub
FEW = 16  # small shards that are not worth merging yet

_LIMIT = ("finish_reason", "tokens", "max_tokens", "max_len")

Key = tuple[str, int]  # (prompt_id, index)


class SampleStore:
    """The samples of one sampler, in `root/<key of the identity>/`, as far as they hold under a limit.

    A sample holds if it was drawn under exactly this limit, or ended by itself within `max_tokens`. (How
    long its prompt was is not known here, so a lower `max_len` alone redraws nothing that ended.)

    Attributes:
        folder: where they are.
        limit: where answers are cut off.
        damaged: shards that this object found torn or altered, under the names they were moved to.

    Raises:
        StoreError: if the folder cannot be made or holds another sampler's identity.
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
        """The stored samples by (prompt_id, index), which is a request's `key`.

        Questions with the same prompt share samples, which carry the id of one of them. A shard that is
        torn or altered is reported, renamed to *.damaged and left out: its samples count as missing and
        are drawn again.

        Args:
            requests: what is wanted of them; all if None.
        """
        wanted = None if requests is None else _bits(r.key for r in requests)
        exact: dict[Key, Sample] = {}
        ended: dict[Key, Sample] = {}
        for rows in self._rows({*shards.SAMPLE, *_LIMIT}):
            for sample, is_exact in rows.samples(wanted):
                found, key = exact if is_exact else ended, (sample.prompt_id, sample.index)
                # Which of two versions counts must not depend on the files that they lie in.
                if key not in found or sample.text < found[key].text:
                    found[key] = sample
        return ended | exact

    def missing(self, requests: Iterable[Request]) -> list[Request]:
        """The requests without a stored sample, each prompt and index once."""
        have: dict[str, int] = {}
        for rows in self._rows({"prompt_id", "index", *_LIMIT}):
            _bits(rows.keys(), have)
        return list({r.key: r for r in requests if not have.get(r.prompt_id, 0) >> r.index & 1}.values())

    @property
    def commits(self) -> list[str]:
        """Commits of the Hub's model that samples were drawn with, in their order; [] where none is known."""
        return read_json(self.folder / COMMITS) or []

    def note_commit(self, commit: str) -> None:
        """Keep that samples come from a model as it was at `commit`."""
        if commit not in (known := self.commits):
            write_json(self.folder / COMMITS, [*known, commit])

    def add(self, samples: Sequence[Sample], prompts: Mapping[str, str] | None = None) -> None:
        """Commit `samples` as one shard: all of them or, if anything goes wrong, none. Needs the lease.

        Args:
            samples: what was drawn under the store's limit.
            prompts: prompt_id to prompt, kept beside the samples so that they can be followed back.

        Raises:
            StoreError: if the disk is full or cannot be written, or the lease is not ours (any more).
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
        """Merge small shards, of which a slow teacher leaves many. Needs the lease."""
        merged = shards.merge(self.folder, self._lock.check, FEW)
        self._lock.push(gone=merged)

    def acquire(self, timeout: float | None = None) -> bool:
        """Take the lease that writing needs, waiting up to `timeout` seconds; see `Lease.acquire`."""
        if not self._lock.acquire(timeout):
            return False
        try:
            self._claim()  # the folder may have been removed while we waited
            for leftover in self.folder.glob(shards.LEFTOVERS):  # of a killed holder
                leftover.unlink(missing_ok=True)
            if self._bucket:
                self._drop_merged()
                self._lock.push()  # what was drawn before there was a bucket
        except BaseException:
            self._lock.release(bring=False)
            raise
        return True

    def release(self) -> None:
        """Give the lease back."""
        self._lock.release()

    def _claim(self) -> None:
        """Write the identity, or check the one that is there."""
        if self._check():
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_json(self.folder / IDENTITY, self._identity)
        except OSError as error:
            raise StoreError(f"cannot use the sample store {self.folder}: {error}") from error

    def _drop_merged(self) -> None:
        """Remove shards that another machine has merged into others since they were brought here."""
        unknown: dict[Path, set[tuple[Any, ...]]] = {}
        for shard in shards.shards(self.folder):
            if not self._lock.in_bucket(shard.name):
                with suppress(FileNotFoundError, shards.DamagedShard):
                    unknown[shard] = set(shards.versions(shards.read(shard, shards.VERSION)))
        for shard in shards.shards(self.folder) if unknown else ():
            if shard not in unknown:
                with suppress(FileNotFoundError, shards.DamagedShard):
                    have = set(shards.versions(shards.read(shard, shards.VERSION)))
                    for lacking in unknown.values():
                        lacking -= have
        for shard, lacking in unknown.items():
            if not lacking:
                shard.unlink()

    def _check(self) -> bool:
        """Whether the folder has an identity, which is then ours: who only looks writes nothing."""
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
        """Those columns of every shard that is whole."""
        if self._bucket:
            self._bucket.pull(self.folder, _lasting)
        for shard in shards.shards(self.folder):
            from qcrd.samples.rows import Rows  # imports pyarrow, which an empty store need not wait for

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
        """Bring a shard that was damaged here from the bucket; what is damaged there too is removed there."""
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
    """Whether a file of the folder is for all machines."""
    return name in (IDENTITY, COMMITS) or name.endswith(".parquet")


def _bits(keys: Iterable[Key], bits: dict[str, int] | None = None) -> dict[str, int]:
    """Indices by prompt, as the bits of an integer: a set of millions of pairs would fill the memory."""
    bits = {} if bits is None else bits
    for prompt_id, index in keys:
        bits[prompt_id] = bits.get(prompt_id, 0) | 1 << index
    return bits
