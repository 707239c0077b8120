"""What is in the sample store: lists it, looks at it, checks it, hands it out and tidies it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from qcrd.errors import StoreError
from qcrd.samples import shards
from qcrd.samples.requests import sampler_key
from qcrd.samples.store import IDENTITY
from qcrd.storage.files import read_json
from qcrd.storage.folder_lock import FolderLock
from qcrd.storage.home import Home
from qcrd.storage.lease import Holder

if TYPE_CHECKING:
    import pyarrow as pa

REMOVED = ".removed.tmp"  # ending of the folder of a sampler that is being deleted


@dataclass(frozen=True, slots=True)
class Sampler:
    """One sampler's folder, summed up."""

    id: str
    engine: str
    model: str
    temperature: float | None
    questions: int
    samples: int  # of distinct prompt and index
    cut_off: int  # those of which no version ended by itself
    shards: int
    bytes: int
    written: str  # when the newest shard was, in local time; empty where there is none
    damaged: int  # files that are torn, altered or put aside


@dataclass(slots=True)
class Answers:
    """All answers to one prompt, in order of their number; of two versions of one, the longer."""

    prompt_id: str
    question_id: str
    prompt: str
    texts: dict[int, str] = field(default_factory=dict)
    finish_reasons: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)


def samplers(root: Path) -> list[Path]:
    """The folders of all samplers below `root`, by name."""
    found = (path.parent for path in root.glob(f"*/{IDENTITY}"))
    return sorted(path for path in found if not path.name.startswith("."))


def find(root: Path, prefix: str) -> Path:
    """The folder of the one sampler whose id begins with `prefix`.

    Raises:
        StoreError: if there is none or several; names them.
    """
    have = samplers(root)
    found = [path for path in have if path.name.startswith(prefix)]
    if len(found) == 1:
        return found[0]
    names = ", ".join(path.name for path in found or have) or "nothing"
    raise StoreError(
        f"sampler {prefix!r}: {'several begin so' if found else 'there is none'}; {root} has {names}"
    )


def summary(folder: Path) -> Sampler:
    """What `qcrd samples ls` says of a sampler."""
    identity = read_json(folder / IDENTITY) or {}
    files = [(file, file.stat()) for file in sorted(folder.glob("*.parquet"))]
    questions: set[str] = set()
    keys: dict[str, int] = {}
    ended: dict[str, int] = {}
    damaged = len(list(folder.glob(f"*{shards.DAMAGED}")))
    columns = ["prompt_id", "question_id", "index", "finish_reason"]
    for shard in shards.shards(folder):
        try:
            table = shards.read(shard, columns)
        except FileNotFoundError:
            continue
        except shards.DamagedShard:
            damaged += 1
            continue
        questions.update(*(chunk.dictionary.to_pylist() for chunk in table["question_id"].chunks))
        for prompt_id, index, reason in _rows(table, "prompt_id", "index", "finish_reason"):
            keys[prompt_id] = keys.get(prompt_id, 0) | 1 << index
            ended[prompt_id] = ended.get(prompt_id, 0) | (reason == "stop") << index
    samples = sum(bits.bit_count() for bits in keys.values())
    newest = max((stat.st_mtime for _, stat in files), default=None)
    return Sampler(
        id=folder.name,
        engine=str(identity.get("engine", "?")),
        model=_model(identity),
        temperature=identity.get("temperature"),
        questions=len(questions),
        samples=samples,
        cut_off=samples - sum(bits.bit_count() for bits in ended.values()),
        shards=len(files),
        bytes=sum(stat.st_size for _, stat in files),
        written=datetime.fromtimestamp(newest).isoformat(" ", "seconds") if newest else "",
        damaged=damaged,
    )


def answers(folder: Path, id: str | None = None) -> list[Answers]:
    """The answers to every prompt, or to the prompt or question of that id, by question id.

    Raises:
        StoreError: if there are none of that id.
    """
    found: dict[str, Answers] = {}
    columns = ["prompt_id", "question_id", "prompt", "index", "text", "finish_reason", "tokens"]
    for shard in shards.shards(folder):
        try:
            table = shards.read(shard, columns)
        except (FileNotFoundError, shards.DamagedShard):
            continue
        for prompt_id, question_id, prompt, index, text, reason, tokens in _rows(table, *columns):
            if id not in (None, prompt_id, question_id):
                continue
            asked = found.setdefault(prompt_id, Answers(prompt_id, question_id, prompt))
            if index not in asked.texts or (tokens, text) > (asked.tokens[index], asked.texts[index]):
                asked.texts[index], asked.finish_reasons[index], asked.tokens[index] = text, reason, tokens
    if id is not None and not found:
        raise StoreError(
            f"sampler {folder.name} has no question or prompt {id!r}; `qcrd samples export` lists all"
        )
    return sorted(found.values(), key=lambda a: (a.question_id, a.prompt_id))


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The answers in the form that `teacher.engine: recorded` reads: one object per question and prompt.

    Raises:
        StoreError: if a question lacks an answer between two, for which the form has no place.
    """
    for asked in answers(folder):
        order = sorted(asked.texts)
        if order != list(range(len(order))):
            raise StoreError(
                f"question {asked.question_id} has the answers {', '.join(map(str, order))}, and recorded "
                "ones are counted without gaps; run the grid again, which draws those between"
            )
        yield {
            "id": asked.question_id,
            "samples": [asked.texts[i] for i in order],
            "prompt_id": asked.prompt_id,
            "prompt": asked.prompt,
            "finish_reasons": [asked.finish_reasons[i] for i in order],
            "tokens": [asked.tokens[i] for i in order],
        }


def faults(folder: Path) -> Iterator[tuple[Path, str]]:
    """Each damaged file of a sampler and what is wrong with it. Changes nothing."""
    identity = read_json(folder / IDENTITY)
    if identity is None:
        yield folder / IDENTITY, "torn; the next run that uses this sampler writes it again"
    elif sampler_key(identity) != folder.name:
        yield (
            folder / IDENTITY,
            f"describes sampler {sampler_key(identity)}; the file was edited or the folder renamed",
        )
    for file in sorted(folder.glob(f"*{shards.DAMAGED}")):
        yield file, "was found damaged and put aside before"
    for shard in shards.shards(folder):
        try:
            shards.read(shard)
        except FileNotFoundError:
            continue
        except shards.DamagedShard as error:
            yield shard, str(error)


def rubbish(folder: Path) -> list[Path]:
    """What `tidy` would delete: half-written files of killed jobs, and damaged shards that were put aside."""
    return sorted([*folder.glob(shards.LEFTOVERS), *folder.glob(f"*{shards.DAMAGED}")])


def tidy(folder: Path, home: Home) -> Holder | str | None:
    """Delete `rubbish` and merge small shards; returns who is in the way, if someone is.

    Raises:
        StoreError: if the folder cannot be written.
    """
    lock = home.lock(folder)
    if not lock.acquire(0):
        return _holder(lock)
    try:
        for file in rubbish(folder):
            file.unlink(missing_ok=True)
        lock.push(gone=shards.merge(folder, lock.check))
    finally:
        lock.release()
    return None


def remove(folder: Path, home: Home) -> None:
    """Delete a sampler with all its samples.

    Raises:
        StoreError: if a job uses it.
    """
    lock = home.lock(folder)
    if not lock.acquire(0):
        raise StoreError(f"sampler {folder.name} is in use by {_holder(lock)}; end that job first")
    gone = folder.with_name(f".{folder.name}.{uuid4().hex[:8]}{REMOVED}")
    try:
        if home.bucket:
            home.bucket.remove(folder / name for name in home.bucket.list(folder))
        folder.rename(gone)  # at once: nobody sees half a sampler
    finally:
        lock.release(bring=False)
    clear(folder.parent)


def clear(root: Path) -> None:
    """Delete what is left of removed samplers, also where a removal was killed."""
    for gone in root.glob(f".*{REMOVED}"):
        shutil.rmtree(gone, ignore_errors=True)


def _holder(lock: FolderLock) -> Holder | str:
    return lock.holder() or "a process that died just now; try again in a minute"


def _rows(table: pa.Table, *columns: str) -> Iterator[tuple[Any, ...]]:
    return zip(*(table[name].to_pylist() for name in columns), strict=True)


def _model(identity: dict[str, Any]) -> str:
    model = identity.get("model", identity.get("answers", "?"))
    return (
        " ".join(str(value) for value in model.values() if value) if isinstance(model, dict) else str(model)
    )
