"""Finds and reads the splits of a user's data set: a file, a folder with a file per split, or on the Hub."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from qcrd import config
from qcrd.config.paths import replaced
from qcrd.errors import DataError, did_you_mean
from qcrd.storage import archives
from qcrd.tasks.own.formats import READERS, Row, read, rows_of_objects
from qcrd.tasks.sources import note_commit

Reader = Callable[[], list[Row]]
SPLITS = {
    "train": {"train", "training"},
    "validation": {"validation", "valid", "val", "dev"},
    "test": {"test", "testing"},
}
"""Our splits, and words by which they are recognised in the names of the source's splits."""
_SHARD = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<count>\d{5})(?:-[0-9a-f]+)?")
_METADATA = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}
FORMS = (
    f"give a file ({', '.join(READERS)}), a folder of such files named after their splits (train.jsonl, "
    "test.jsonl), or a Hub id (without a connection: a folder with a copy of it)"
)


def rows(section: config.Task) -> dict[str, list[Row]]:
    """Rows of each of our splits that the source has, at least `train`.

    Raises:
        DataError: if the source is missing or cannot be read, or lacks a split.
    """
    if section.source is None:
        raise DataError(f"task.source is needed where task.name is 'own'; {FORMS}")
    readers = _readers(section.source, section.own)
    rows_of = {split: readers[name]() for split, name in _names(section.own, list(readers)).items()}
    for split, rows in rows_of.items():
        if not rows:
            raise DataError(f"task.source: {section.source!r} has no row in its {split} split")
    return rows_of


def _readers(source: str, own: config.Own) -> dict[str, Reader]:
    """Functions that read the splits, by the source's name of the split."""
    try:
        path = Path(replaced(source))
    except ValueError as error:
        raise DataError(f"task.source: {error}") from error
    if path.is_file():
        if path.suffix not in READERS:
            raise DataError(f"task.source: {source!r} ends in {path.suffix!r}; {FORMS}")
        return {"train": lambda: read(path.name, path.suffix, path.read_bytes())}
    if path.is_dir():
        return _folder(path, own.subset)
    if path.suffix in READERS:
        raise DataError(f"task.source: {source!r}: no such file; {FORMS}")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        raise DataError(f"task.source: {source!r}: no such file or folder; {FORMS}")
    return _hub(source, own)


def _folder(root: Path, subset: str | None) -> dict[str, Reader]:
    """Readers of the files of a folder, or of its subfolder `data` or `subset`; shards are concatenated."""
    files = archives.files(root, lambda name: PurePosixPath(name).suffix in READERS)
    prefix = root.absolute().as_posix()
    by_folder: dict[str, dict[str, archives.Reader]] = {}
    for name, reader in files.items():
        path = PurePosixPath(name).relative_to(prefix)
        if path.name not in _METADATA and not any(part.startswith(".") for part in path.parts):
            by_folder.setdefault(path.parent.as_posix(), {})[path.name] = reader
    candidates = [subset, f"data/{subset}"] if subset else [".", "data"]
    chosen = next((by_folder[folder] for folder in candidates if folder in by_folder), None)
    if chosen is None:
        subsets = f"; task.own.subset names one of {', '.join(sorted(by_folder))}" if by_folder else ""
        problem = (
            f"no folder {subset!r} with data in it (task.own.subset)" if subset else "no file of data in it"
        )
        raise DataError(f"task.source: {str(root)!r} has {problem}{subsets or f'; {FORMS}'}")
    shards: dict[str, list[tuple[int, int, str]]] = {}
    for name in sorted(chosen):
        shard = _SHARD.fullmatch(PurePosixPath(name).stem)
        split, number, count = shard.groups() if shard else (PurePosixPath(name).stem, 0, 1)
        shards.setdefault(split, []).append((int(number), int(count), name))
    return {split: partial(_concatenated, split, listed, chosen) for split, listed in shards.items()}


def _concatenated(
    split: str, shards: list[tuple[int, int, str]], files: dict[str, archives.Reader]
) -> list[Row]:
    """Rows of the shards (number, count, file name) of a split.

    Raises:
        DataError: if a shard is missing.
    """
    names = [name for *_, name in shards]
    counts = {count for _, count, _ in shards}
    if [number for number, *_ in shards] != list(range(shards[0][1])) or len(counts) > 1:
        raise DataError(
            f"task.source: the split {split!r} is in {', '.join(names)}; expected one file, or all of "
            f"{split}-00000-of-0000N ... without a gap"
        )
    return [row for name in names for row in read(name, PurePosixPath(name).suffix, files[name]())]


def _hub(source: str, own: config.Own) -> dict[str, Reader]:
    import datasets

    try:
        loaded = datasets.load_dataset(source, own.subset, revision=own.revision)
    except Exception as error:  # the library raises many types
        raise DataError(
            f"task.source: {source!r} could not be loaded ({type(error).__name__}: {error}); {FORMS}"
        ) from error
    note_commit(loaded)
    return {name: partial(_table_rows, name, table) for name, table in loaded.items()}


def _table_rows(name: str, table: Any) -> list[Row]:
    return rows_of_objects(f"the {name} split, row", table.to_list())


def _names(own: config.Own, have: list[str]) -> dict[str, str]:
    """The source's name of each of our splits, without splits that are to be held out."""
    names = {}
    for split in SPLITS:
        configured = getattr(own, f"{split}_split")
        if configured is not None and configured != split and configured not in have:
            raise DataError(
                f"task.own.{split}_split: the source has no {configured!r}; it has: {', '.join(have)}"
                + did_you_mean(configured, have)
            )
        if configured in have:
            names[split] = configured
    for split in SPLITS:
        if split not in names:
            fits = _fitting(split, [name for name in have if name not in names.values()])
            if len(fits) > 1:
                raise DataError(
                    f"task.own.{split}_split: ambiguous, the source has {', '.join(fits)}; name one of them"
                )
            if fits:
                names[split] = fits[0]
            elif split == "train" or getattr(own, f"{split}_split") is not None:
                raise DataError(
                    f"task.own.{split}_split: the source has no {split!r}; it has: {', '.join(have)}"
                )
    if len(set(names.values())) < len(names):
        raise DataError(
            f"task.own: two splits are the same ({names}); give each its own, or null to hold it out"
        )
    return names


def _fitting(split: str, names: list[str]) -> list[str]:
    """Names that equal the split's, otherwise names that contain one of its words."""
    if split in names:
        return [split]
    words = {name: set(re.split(r"[^a-z]+", name.lower())) for name in names}
    return [name for name in names if words[name] & SPLITS[split]]
