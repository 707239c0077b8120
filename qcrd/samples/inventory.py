"""Inventory of the sample store: list, show, verify, export and clean up samplers."""

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

REMOVED = ".removed.tmp"  # suffix of a sampler's folder during deletion


@dataclass(frozen=True, slots=True)
class Sampler:
    """Summary of one sampler."""

    id: str
    engine: str
    model: str
    temperature: float | None
    questions: int
    samples: int  # distinct pairs of prompt and index
    cut_off: int  # samples of which only truncated versions exist
    shards: int
    bytes: int
    written: str  # local time of the newest shard; empty without shards
    damaged: int  # damaged files, including those set aside


@dataclass(slots=True)
class Answers:
    """All answers to one prompt by index; of several versions the longest."""

    prompt_id: str
    question_id: str
    prompt: str
    texts: dict[int, str] = field(default_factory=dict)
    finish_reasons: dict[int, str] = field(default_factory=dict)
    tokens: dict[int, int] = field(default_factory=dict)


def samplers(root: Path) -> list[Path]:
    """Folders of all samplers below `root`, sorted by name."""
    folders = (path.parent for path in root.glob(f"*/{IDENTITY}"))
    return sorted(path for path in folders if not path.name.startswith("."))


def find(root: Path, prefix: str) -> Path:
    """The folder of the only sampler whose id begins with `prefix`.

    Raises:
        StoreError: if there is none or several; lists them.
    """
    folders = samplers(root)
    matching = [path for path in folders if path.name.startswith(prefix)]
    if len(matching) == 1:
        return matching[0]
    names = ", ".join(path.name for path in matching or folders) or "nothing"
    raise StoreError(
        f"sampler {prefix!r}: {'several begin so' if matching else 'there is none'}; {root} has {names}"
    )


def summary(folder: Path) -> Sampler:
    """Summarise a sampler, for `qcrd samples ls`."""
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
    """Answers to all prompts, or to the prompt or question with the given id, sorted by question id.

    Raises:
        StoreError: if there are none with that id.
    """
    by_prompt: dict[str, Answers] = {}
    columns = ["prompt_id", "question_id", "prompt", "index", "text", "finish_reason", "tokens"]
    for shard in shards.shards(folder):
        try:
            table = shards.read(shard, columns)
        except (FileNotFoundError, shards.DamagedShard):
            continue
        for prompt_id, question_id, prompt, index, text, reason, tokens in _rows(table, *columns):
            if id not in (None, prompt_id, question_id):
                continue
            entry = by_prompt.setdefault(prompt_id, Answers(prompt_id, question_id, prompt))
            if index not in entry.texts or (tokens, text) > (entry.tokens[index], entry.texts[index]):
                entry.texts[index], entry.finish_reasons[index], entry.tokens[index] = text, reason, tokens
    if id is not None and not by_prompt:
        raise StoreError(
            f"sampler {folder.name} has no question or prompt {id!r}; `qcrd samples export` lists all"
        )
    return sorted(by_prompt.values(), key=lambda a: (a.question_id, a.prompt_id))


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """Answers in the format of `teacher.engine: recorded`: one object per question and prompt.

    Raises:
        StoreError: if the indices of a question's answers have a gap, which the format cannot represent.
    """
    for entry in answers(folder):
        order = sorted(entry.texts)
        if order != list(range(len(order))):
            raise StoreError(
                f"question {entry.question_id} has the answers {', '.join(map(str, order))}, and recorded "
                "ones are counted without gaps; run the grid again, which draws those between"
            )
        yield {
            "id": entry.question_id,
            "samples": [entry.texts[i] for i in order],
            "prompt_id": entry.prompt_id,
            "prompt": entry.prompt,
            "finish_reasons": [entry.finish_reasons[i] for i in order],
            "tokens": [entry.tokens[i] for i in order],
        }


def faults(folder: Path) -> Iterator[tuple[Path, str]]:
    """Damaged files of a sampler with a description of the damage. Read-only."""
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
    """Files that `tidy` deletes: partial files of killed jobs, and damaged shards that were set aside."""
    return sorted([*folder.glob(shards.LEFTOVERS), *folder.glob(f"*{shards.DAMAGED}")])


def tidy(folder: Path, home: Home) -> Holder | str | None:
    """Delete `rubbish` and merge small shards, unless the sampler is in use.

    Returns:
        The process that uses the sampler; None if it was tidied.

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
        folder.rename(gone)  # atomic, so that no reader sees a partially deleted sampler
    finally:
        lock.release(bring=False)
    clear(folder.parent)


def clear(root: Path) -> None:
    """Delete the renamed folders of removed samplers, also of removals that were killed."""
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
