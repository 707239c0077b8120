"""A grid in one preset: its cells with ids and states, and the samples that they require."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from functools import cached_property
from pathlib import Path

from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.duals import dual_requests
from qcrd.cell.resolved import ResolvedCell
from qcrd.config import Grid
from qcrd.config.presets import Preset, resolve
from qcrd.errors import ConfigError, did_you_mean
from qcrd.fingerprint import fingerprint
from qcrd.grid.plan.changes import NO_CHANGES, Changes
from qcrd.grid.plan.expansion import PlannedCell, SampleNeed, required_samples
from qcrd.grid.plan.file import GridFile, read_grid
from qcrd.grid.plan.gpus import gpu_count
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore
from qcrd.storage import journal
from qcrd.storage.files import read_json, write_json
from qcrd.storage.home import Home
from qcrd.tracking import progress

LATEST = "latest.json"
STATES = ("done", "diverged", "failed", "running", "interrupted", "planned")
MIN_ID = 4  # characters of an id that a pattern must have


@dataclass(frozen=True)
class Study:
    """One grid in one preset."""

    grid: Grid
    preset: Preset
    home: Home
    cells: tuple[PlannedCell, ...]
    changes: Changes = NO_CHANGES  # of the file, from the command line

    @classmethod
    def open(
        cls,
        path: Path,
        home: Home,
        preset: str | None = None,
        gpus: float | None = None,
        changes: Changes = NO_CHANGES,
    ) -> Study:
        """Read and plan a grid.

        Args:
            path: the YAML file.
            home: the home with the results.
            preset: overrides the file's preset.
            gpus: number of GPUs of the cluster, by which preset `auto` is resolved; None: use the preset of
                the grid's last run, else the GPUs of this machine.
            changes: changes of the file from the command line.
        """
        return cls.of(read_grid(path, changes), home, preset, gpus)

    @classmethod
    def of(cls, file: GridFile, home: Home, preset: str | None = None, gpus: float | None = None) -> Study:
        """Plan a grid whose file has been read; see `open`."""
        grid = file.grid
        requested = preset or grid.preset
        if home.bucket and requested == "auto":
            home.bucket.get([home.grid(grid.name) / LATEST])
        if requested == "auto" and gpus is None:
            latest = read_json(home.grid(grid.name) / LATEST)
            requested = latest["preset"] if latest else requested
        if requested == "auto" and gpus is None:
            gpus = gpu_count()
        chosen = resolve(requested, gpus or 0)
        study = cls(grid.within(chosen), chosen, home, tuple(file.cells(chosen)), file.changes)
        home.refresh(study.ids if home.bucket else None)
        return study

    @cached_property
    def ids(self) -> list[str]:
        """Id of each cell; this loads the data of its task."""
        return [planned.cell.id for planned in self.cells]

    def find(self, name: str) -> PlannedCell:
        """The cell with this name (with or without its seed), or whose id begins so.

        Raises:
            ConfigError: if there is none, or several.
        """
        matches = [planned for planned in self.cells if planned.is_called(name)]
        matches = matches or [planned for planned in self.cells if name and planned.cell.id.startswith(name)]
        if len(matches) == 1:
            return matches[0]
        if matches:
            allowed = ", ".join(repr(planned.name) for planned in matches)
            raise ConfigError(
                f"{self.grid.name}: {name!r} is {len(matches)} cells; allowed: one of {allowed}"
            )
        names = [own_name for planned in self.cells for own_name in planned.names]
        raise ConfigError(
            f"{self.grid.name}: no cell is named {name!r}; `qcrd plan` lists the names and ids"
            f"{did_you_mean(name, names)}"
        )

    def matching(self, patterns: Iterable[str]) -> list[PlannedCell]:
        """The cells that any of the patterns stands for, in the grid's order.

        Args:
            patterns: each a method, a cell's name with or without its seed, the beginning of an id, a state
                (`state`), or a pattern with * and ? for names.

        Raises:
            ConfigError: if a pattern stands for no cell.
        """
        states, chosen = self.states(), set()
        for pattern in patterns:
            numbers = {
                i
                for i, (planned, cell_state) in enumerate(zip(self.cells, states, strict=True))
                if pattern in (planned.cell.settings.method, cell_state)
                or planned.is_called(pattern)
                or any(fnmatchcase(name, pattern) for name in planned.names)
            }
            if not numbers and len(pattern) >= MIN_ID:
                numbers = {i for i, cell_id in enumerate(self.ids) if cell_id.startswith(pattern)}
            if not numbers and pattern not in STATES:
                names = {name for planned in self.cells for name in planned.names}
                names |= {planned.cell.settings.method for planned in self.cells} | set(STATES)
                raise ConfigError(
                    f"{self.grid.name}: no cell matches {pattern!r}; `qcrd plan` lists the names and ids"
                    f"{did_you_mean(pattern, sorted(names))}"
                )
            chosen |= numbers
        return [planned for i, planned in enumerate(self.cells) if i in chosen]

    @cached_property
    def id(self) -> str:
        """Fingerprint of name, preset and cells, so that runs of different contents never mix."""
        return fingerprint({"name": self.grid.name, "preset": self.preset, "cells": sorted(self.ids)})

    @property
    def folder(self) -> Path:
        """Folder of this grid's journal, tables and MLflow state."""
        return self.home.grid(self.grid.name) / self.id

    def save_preset(self) -> None:
        """Record this preset as the grid's last one, for commands such as `qcrd table`."""
        path = self.home.grid(self.grid.name) / LATEST
        write_json(path, {"preset": self.preset, "id": self.id})
        self.home.upload(path)

    @contextmanager
    def exclusive(self, say: Callable[[str], None]) -> Iterator[None]:
        """Hold the grid's lock. A second process waits, then finds the work done.

        Args:
            say: prints a line to the user.
        """
        lock = self.home.lock(self.folder, wanted=_shared, background=True)
        if not lock.acquire(timeout=0):
            say(f"another process works on this grid; waiting for it ({lock.holder() or 'it just ended'})")
            lock.acquire()
        with ExitStack() as stack:
            stack.push(lock)
            if self.home.bucket:  # another machine may have sent more since; query the server again
                (self.folder / progress.FILE).unlink(missing_ok=True)
            yield

    def states(self) -> list[str]:
        """State of each cell; see `state`."""
        return [state(self.home, cell_id) for cell_id in self.ids]

    def sample_needs(self, splits: Iterable[str] = ()) -> Iterator[tuple[SampleNeed, ResolvedCell]]:
        """The samples that the cells require, each with one of the cells that require them.

        Args:
            splits: further splits to sample.
        """
        cells = [planned.cell for planned in self.cells]
        cell_of = {(cell.settings.task, cell.settings.teacher): cell for cell in reversed(cells)}
        for need in required_samples(cell.settings for cell in cells):
            all_splits = tuple(dict.fromkeys((*need.splits, *splits)))
            yield replace(need, splits=all_splits), cell_of[need.task, need.teacher]

    def samples(
        self, splits: Iterable[str] = ()
    ) -> Iterator[tuple[SampleNeed, SampleStore, list[Request], list[Request]]]:
        """As `sample_needs`, as tuples (need, store, all requests, missing requests)."""
        for need, cell in self.sample_needs(splits):
            store = sample_store(cell, self.home)
            requests = [r for split in need.splits for r in sample_requests(cell, split, need.m)]
            yield need, store, requests, store.missing(requests)

    def duals(self) -> Iterator[tuple[SampleNeed, SampleStore, list[Request] | None, list[Request]]]:
        """The required dual rationales, as tuples (need, store, all requests, missing requests).

        The requests depend on the samples, so they are None while some samples are missing.
        """
        cells = [planned.cell for planned in self.cells if planned.cell.asks_for_duals]
        distinct = {(c.settings.task, c.settings.teacher, c.settings.rationales): c for c in cells}
        for cell in distinct.values():
            settings, store = cell.settings, sample_store(cell, self.home)
            need = SampleNeed(settings.task, settings.teacher, cell.samples, ("train",), duals=True)
            if store.missing(sample_requests(cell, "train", cell.samples)):
                yield need, store, None, []
            else:
                requests = dual_requests(cell, self.home)
                yield need, store, requests, store.missing(requests)


def _shared(name: str) -> bool:
    """Whether a file of the grid's folder is shared between machines; Tune's and MLflow's state are not."""
    return not name.startswith("tune/") and name != progress.FILE


def state(home: Home, cell_id: str) -> str:
    """The cell's state: done, diverged, failed, running, interrupted (can be resumed) or planned."""
    record = home.record(cell_id)
    if record is not None:
        return record.status
    folder = home.cell(cell_id)
    if not (folder / journal.FILE).exists():
        return "planned"
    if home.lock_cell(cell_id).holder():
        return "running"
    return "failed" if last_status(home, cell_id)[0] == "failed" else "interrupted"


def last_status(home: Home, cell_id: str) -> tuple[str | None, str]:
    """Last status in the cell's journal and its message; (None, "") if there is none."""
    statuses = _statuses(journal.read(home.cell(cell_id) / journal.FILE))
    last = next(reversed(list(statuses)), None)
    return (last.status, last.message) if last else (None, "")


def _statuses(events: Iterable[journal.Event]) -> Iterator[journal.Status]:
    return (event for event in events if isinstance(event, journal.Status))
