"""Load the rows of a data set from the archive of Distilling Step-by-Step (DSS) or from the Hub.

A source (`task.source`) is DSS's `datasets.zip`, its unpacked folder, a Hub id, or a folder with files in the
Hub's layout (a copy of the Hub's repository, or JSON lines named after its splits). None is the data set's
default Hub id. Both layouts have the same rows in the same order, so that row numbers, to which recorded
answers refer, are independent of the source.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcrd.config.paths import replaced
from qcrd.errors import DataError
from qcrd.storage import archives
from qcrd.storage.archives import Reader

Rows = dict[str, list[dict[str, Any]]]
"""Rows by split, in the order of the file; a row maps field names to values."""
Fields = dict[str, type]
"""Required fields of every row with their types."""


@dataclass(frozen=True, slots=True)
class Hub:
    """Location of a data set on the Hub."""

    id: str
    config: str | None = None
    # None is the newest; the data's fingerprint is in every result's identity, and its commit in the record.
    revision: str | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """A data set in the layouts of DSS and of the Hub, which have the same fields."""

    name: str  # DSS's, in its folder and file names
    fields: Fields
    splits: dict[str, tuple[str, ...]]  # DSS's split to the Hub's names for it, the preferred one first
    hub: Hub

    def rows(self, source: str | None) -> Rows:
        """The rows of every split, by DSS's name of the split.

        Raises:
            DataError: where the source is absent, out of reach or in another form.
        """
        source = source or self.hub.id
        rows = dss(source, self.name, list(self.splits), self.fields)
        if rows is not None:
            return rows
        loaded = load(source, self.hub)
        by_split = {}
        for split, names in self.splits.items():
            name = next((name for name in names if name in loaded), None)
            if name is None:
                raise DataError(
                    f"task.source: {source!r} has the splits {', '.join(loaded)}; expected one of "
                    f"{', '.join(names)} as in {self.hub.id}"
                )
            by_split[split] = loaded[name]
            for number, row in enumerate(by_split[split]):
                _check(row, self.fields, f"task.source: row {number} of {name} in {source!r}")
        return by_split


def dss(source: str, name: str, splits: Sequence[str], fields: Fields) -> Rows | None:
    """Rows of `<name>_<split>.json` (JSON lines) in DSS's zip or folder.

    Returns:
        None where `source` is a Hub id, or a folder without any such file.

    Raises:
        DataError: where `source` is neither, lacks a split or has another form; names file and line.
    """
    try:
        path = Path(replaced(source))
    except ValueError as error:
        raise DataError(f"task.source: {error}") from error
    if path.is_dir():
        files = _named(path, name)
        return _dss(source, name, files, splits, fields) if files else None
    if zipfile.is_zipfile(path):
        return _dss(source, name, _named(path, name), splits, fields)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise DataError(
            f"task.source: {source!r} is no folder, zip or Hub id; give DSS's datasets.zip, its unpacked "
            "folder, or a Hub id; null is the data set's own"
        )
    return None


def load(source: str, hub: Hub) -> Rows:
    """Rows of a Hub id, or of a folder in that layout, by the Hub's names of the splits.

    Raises:
        DataError: where the Hub is out of reach, or `datasets` cannot read what is there.
    """
    import datasets

    place = replaced(source)
    own = source == hub.id
    try:
        config = hub.config
        if config and not own and config not in datasets.get_dataset_config_names(place):
            config = None  # a folder of plain files has none
        loaded = datasets.load_dataset(place, config, revision=hub.revision if own else None)
    except Exception as error:  # the library raises many kinds, of connections and of formats
        revision = f" --revision {hub.revision}" if hub.revision else ""
        raise DataError(
            f"task.source: {source!r} could not be loaded ({type(error).__name__}: {error}); without a "
            "connection give DSS's datasets.zip or its unpacked folder, or a folder with a copy of "
            f"{hub.id} (on a machine with a connection: hf download {hub.id} --repo-type dataset"
            f"{revision} --local-dir FOLDER)"
        ) from error
    note_commit(loaded)
    return {name: rows.to_list() for name, rows in loaded.items()}


@contextmanager
def noted_commits() -> Iterator[list[str]]:
    """Yield a list that collects the distinct commits of the Hub data sets loaded in this context."""
    commits: list[str] = []
    token = _commits.set(commits)
    try:
        yield commits
    finally:
        _commits.reset(token)


def note_commit(loaded: Mapping[str, Any]) -> None:
    """Add the commit of what `datasets` loaded from the Hub: the folder of its cache is named after it."""
    commits = _commits.get()
    if commits is None:
        return
    for rows in loaded.values():
        for file in rows.cache_files:
            name = Path(file["filename"]).parent.name
            if re.fullmatch(r"[0-9a-f]{40}", name) and name not in commits:  # a local copy has a shorter one
                commits.append(name)


_commits: ContextVar[list[str] | None] = ContextVar("commits", default=None)


def _named(path: Path, name: str) -> dict[str, Reader]:
    """Readers of the files `<name>_<split>.json` in a folder or zip, by their last name."""
    wanted = re.compile(rf"(?:.*/)?{re.escape(name)}_[^/]*\.json", re.DOTALL)
    found = archives.files(path, lambda entry: wanted.fullmatch(entry) is not None)
    return {entry.rpartition("/")[2]: read for entry, read in found.items()}


def _dss(
    source: str,
    name: str,
    files: dict[str, Reader],
    splits: Sequence[str],
    fields: Fields,
) -> Rows:
    rows: Rows = {}
    for split in splits:
        file = f"{name}_{split}.json"
        if file not in files:
            raise DataError(f"task.source: {source!r} has no {file}; give DSS's datasets.zip or its folder")
        rows[split] = []
        # Not splitlines: a text may hold characters such as U+2028, which JSON need not escape.
        for number, line in enumerate(files[file]().split(b"\n"), 1):
            if line.strip():
                where = f"task.source: {file} in {source!r}, line {number}"
                try:
                    row = json.loads(line)
                except ValueError as error:
                    raise DataError(f"{where}: not JSON ({error}); expected one object a line") from error
                _check(row, fields, where)
                rows[split].append(row)
    return rows


def _check(row: Any, fields: Fields, where: str) -> None:
    for field, kind in fields.items():
        if not isinstance(row, dict) or not isinstance(row.get(field), kind):
            expected = ", ".join(f"`{name}` ({wanted.__name__})" for name, wanted in fields.items())
            raise DataError(f"{where}: no `{field}` ({kind.__name__}); expected an object with {expected}")
