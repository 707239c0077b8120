"""Checks of the home's content: timestamps, leftovers of killed runs, damaged samples and results."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from qcrd.doctor.check import Check, error, from_error, ok, warning
from qcrd.errors import DamagedResult
from qcrd.samples import inventory
from qcrd.samples.shards import DAMAGED
from qcrd.storage.home import RECORD, Home

AGE = 3600.0  # seconds without a change after which a temporary file counts as a leftover
AHEAD = 60.0  # seconds that a file may be newer than the clock: the clocks of hosts differ
OTHERS = ("local",)  # folders that Ray and MLflow manage
TUNE = "grids/*/*/tune"


@dataclass(slots=True)
class Scan:
    """Result of a scan of a home."""

    newest: tuple[float, Path] | None = None  # modification time and path of the newest file
    leftovers: list[Path] = field(default_factory=list)


def scan(home: Home, now: float) -> Scan:
    """Find the newest file, and temporary files and Tune folders that have not changed for an hour.

    Args:
        home: the home to scan.
        now: seconds since 1970.
    """
    found = Scan()
    for folder, folders, files in os.walk(home.root):
        here = Path(folder)
        if here == home.root:
            folders[:] = [name for name in folders if name not in OTHERS]
        for name in [*folders, *files]:
            path = here / name
            try:
                changed = path.lstat().st_mtime
            except OSError:  # deleted during the scan
                continue
            if name in files and (found.newest is None or changed > found.newest[0]):
                found.newest = changed, path
            passing = name.endswith((".tmp", DAMAGED)) or path.match(TUNE)
            if passing and now - max(changed, _inside(path)) > AGE:
                found.leftovers.append(path)
        folders[:] = [name for name in folders if here / name not in found.leftovers]
    return found


def _inside(folder: Path) -> float:
    """Latest modification time of a folder's direct entries; 0 for a file or an empty folder."""
    try:
        return max((entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(folder)), default=0)
    except OSError:
        return 0


def order(home: Home) -> Iterator[Check]:
    """Compare the clock with the newest file, and report leftovers."""
    now = time.time()
    found = scan(home, now)
    yield clock(now, *(found.newest or (None, None)))
    if found.leftovers:
        shown = ", ".join(str(path) for path in found.leftovers[:4])
        more = f" and {len(found.leftovers) - 4} more" if len(found.leftovers) > 4 else ""
        yield warning(
            "leftovers",
            f"of killed runs: {shown}{more}",
            "`qcrd samples gc --yes` deletes those of samples; delete the rest by hand",
        )
    else:
        yield ok("leftovers", "none")


def clock(now: float, newest: float | None, path: Path | None) -> Check:
    """Check that no file is newer than the clock."""
    if newest is None or newest <= now + AHEAD:
        return ok("clock", f"{_as_text(now)}; nothing in the home is newer")
    return warning(
        "clock",
        f"{_as_text(now)}, but {path} is of {_as_text(newest)}",
        "set the clock (NTP): leases and results do not depend on it, the times in journals and MLflow do",
    )


def store(home: Home) -> Iterator[Check]:
    """Verify the checksums of all stored samples."""
    samplers = inventory.samplers(home.samples)
    # Files that a run has already set aside as damaged count as leftovers.
    damaged = [
        (path, why)
        for sampler in samplers
        for path, why in inventory.faults(sampler)
        if path.suffix != DAMAGED
    ]
    if damaged:
        path, why = damaged[0]
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        yield error(
            "samples",
            f"{path}: {why}{more}",
            "`qcrd samples verify` lists all; the next run redraws only the lost samples",
        )
    else:
        shards = sum(len(list(sampler.glob("*.parquet"))) for sampler in samplers)
        yield ok("samples", f"{len(samplers)} samplers, {shards} files, nothing damaged")


def results(home: Home) -> Iterator[Check]:
    """Verify the checksums of every finished cell's record and predictions."""
    folders = [path.parent for path in sorted((home.root / "cells").glob(f"*/{RECORD}"))]
    damaged = []
    for folder in folders:
        try:
            home.check_result(folder.name)
        except DamagedResult as trouble:
            damaged.append(trouble)
    if damaged:
        first = from_error("results", damaged[0])
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        yield replace(first, found=first.found + more)
    else:
        yield ok("results", f"{len(folders)} finished cells, nothing damaged")


def _as_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
