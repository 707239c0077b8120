"""Where the rows of an own data set are: in a file, a folder with a file for each split, or on the Hub."""

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
"""Our splits, and the words in a source's names that stand for them."""
_PART = re.compile(r"(?P<split>.+?)-(?P<number>\d{5})-of-(?P<of>\d{5})(?:-[0-9a-f]+)?")
_ABOUT = {"dataset_infos.json", "dataset_info.json", "dataset_dict.json", "state.json"}
FORMS = (
    f"give a file ({', '.join(READERS)}), a folder of such files named after their splits (train.jsonl, "
    "test.jsonl), or a Hub id (without a connection: a folder with a copy of it)"
)


def rows(section: config.Task) -> dict[str, list[Row]]:
    """The rows of each of our splits that the source has; `train` always.

    Raises:
        DataError: where the source is absent, out of reach or cannot be read, or lacks a split.
    """
    if section.source is None:
        raise DataError(f"task.source is needed where task.name is 'own'; {FORMS}")
    readers = _readers(section.source, section.own)
    found = {split: readers[name]() for split, name in _names(section.own, list(readers)).items()}
    for split, rows in found.items():
        if not rows:
            raise DataError(f"task.source: {section.source!r} has no row in its {split} split")
    return found


def _readers(source: str, own: config.Own) -> dict[str, Reader]:
    """What reads each split, by the source's name of it."""
    try:
        place = Path(replaced(source))
    except ValueError as error:
        raise DataError(f"task.source: {error}") from error
    if place.is_file():
        if place.suffix not in READERS:
            raise DataError(f"task.source: {source!r} ends in {place.suffix!r}; {FORMS}")
        return {"train": lambda: read(place.name, place.suffix, place.read_bytes())}
    if place.is_dir():
        return _folder(place, own.subset)
    if place.suffix in READERS:
        raise DataError(f"task.source: {source!r}, but there is no such file; {FORMS}")
    if not re.fullmatch(r"[\w.-]+(/[\w.-]+)?", source):
        raise DataError(f"task.source: {source!r}, but there is nothing; {FORMS}")
    return _hub(source, own)


def _folder(place: Path, subset: str | None) -> dict[str, Reader]:
    """The files of a folder, or of its folder `data` or `subset`; parts of one split follow each other."""
    files = archives.files(place, lambda name: PurePosixPath(name).suffix in READERS)
    home = place.absolute().as_posix()
    by_folder: dict[str, dict[str, archives.Reader]] = {}
    for name, reader in files.items():
        path = PurePosixPath(name).relative_to(home)
        if path.name not in _ABOUT and not any(part.startswith(".") for part in path.parts):
            by_folder.setdefault(path.parent.as_posix(), {})[path.name] = reader
    wanted = [subset, f"data/{subset}"] if subset else [".", "data"]
    here = next((by_folder[folder] for folder in wanted if folder in by_folder), None)
    if here is None:
        have = f"; task.own.subset names one of {', '.join(sorted(by_folder))}" if by_folder else ""
        what = (
            f"no folder {subset!r} with data in it (task.own.subset)" if subset else "no file of data in it"
        )
        raise DataError(f"task.source: {str(place)!r} has {what}{have or f'; {FORMS}'}")
    parts: dict[str, list[tuple[int, int, str]]] = {}
    for name in sorted(here):
        part = _PART.fullmatch(PurePosixPath(name).stem)
        split, number, of = part.groups() if part else (PurePosixPath(name).stem, 0, 1)
        parts.setdefault(split, []).append((int(number), int(of), name))
    return {split: partial(_joined, split, each, here) for split, each in parts.items()}


def _joined(split: str, parts: list[tuple[int, int, str]], files: dict[str, archives.Reader]) -> list[Row]:
    names = [name for *_, name in parts]
    if [number for number, *_ in parts] != list(range(parts[0][1])) or len({of for _, of, _ in parts}) > 1:
        raise DataError(
            f"task.source: the split {split!r} is in {', '.join(names)}; expected one file, or all of "
            f"{split}-00000-of-0000N ... without a gap"
        )
    return [row for name in names for row in read(name, PurePosixPath(name).suffix, files[name]())]


def _hub(source: str, own: config.Own) -> dict[str, Reader]:
    import datasets

    try:
        loaded = datasets.load_dataset(source, own.subset, revision=own.revision)
    except Exception as error:  # the library raises many kinds, of connections and of formats
        raise DataError(
            f"task.source: {source!r} could not be loaded ({type(error).__name__}: {error}); {FORMS}"
        ) from error
    note_commit(loaded)
    return {name: partial(_of_table, name, table) for name, table in loaded.items()}


def _of_table(name: str, table: Any) -> list[Row]:
    return rows_of_objects(f"the {name} split, row", table.to_list())


def _names(own: config.Own, have: list[str]) -> dict[str, str]:
    """Our splits with the source's names for them; without those that are to be held out."""
    found = {}
    for split in SPLITS:
        said = getattr(own, f"{split}_split")
        if said is not None and said != split and said not in have:
            raise DataError(
                f"task.own.{split}_split: the source has no {said!r}; it has: {', '.join(have)}"
                + did_you_mean(said, have)
            )
        if said in have:
            found[split] = said
    for split in SPLITS:
        if split not in found:
            fits = _fitting(split, [name for name in have if name not in found.values()])
            if len(fits) > 1:
                raise DataError(
                    f"task.own.{split}_split: any of {', '.join(fits)} may be meant; name one of them"
                )
            if fits:
                found[split] = fits[0]
            elif split == "train" or getattr(own, f"{split}_split") is not None:
                raise DataError(
                    f"task.own.{split}_split: the source has no {split!r}; it has: {', '.join(have)}"
                )
    if len(set(found.values())) < len(found):
        raise DataError(
            f"task.own: two splits are the same ({found}); give each its own, or null to hold it out"
        )
    return found


def _fitting(split: str, names: list[str]) -> list[str]:
    """The names that are the split's, or else have a word for it in them."""
    if split in names:
        return [split]
    words = {name: set(re.split(r"[^a-z]+", name.lower())) for name in names}
    return [name for name in names if words[name] & SPLITS[split]]
