"""What is in the home: its times against the clock, what killed runs left, whether the samples are whole."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from qcrd.doctor.check import Check, error, ok, told, warning
from qcrd.errors import DamagedResult
from qcrd.samples import inventory
from qcrd.samples.shards import DAMAGED
from qcrd.storage.home import RECORD, Home

AGE = 3600.0  # seconds without a change after which a temporary file is nobody's
AHEAD = 60.0  # seconds that a file may be newer than the clock: hosts differ
OTHERS = ("local",)  # folders of Ray and MLflow: theirs to keep in order
TUNE = "grids/*/*/tune"


@dataclass(slots=True)
class Remains:
    """What a walk through a home found."""

    newest: tuple[float, Path] | None = None  # time of change, and of what
    leftovers: list[Path] = field(default_factory=list)


def walked(home: Home, now: float) -> Remains:
    """The newest file, and the temporary files and Tune folders that nobody has touched for an hour.

    Args:
        home: that is walked through.
        now: seconds since 1970.
    """
    found = Remains()
    for folder, folders, files in os.walk(home.root):
        here = Path(folder)
        if here == home.root:
            folders[:] = [name for name in folders if name not in OTHERS]
        for name in [*folders, *files]:
            path = here / name
            try:
                changed = path.lstat().st_mtime
            except OSError:  # gone meanwhile
                continue
            if name in files and (found.newest is None or changed > found.newest[0]):
                found.newest = changed, path
            passing = name.endswith((".tmp", DAMAGED)) or path.match(TUNE)
            if passing and now - max(changed, _inside(path)) > AGE:
                found.leftovers.append(path)
        folders[:] = [name for name in folders if here / name not in found.leftovers]
    return found


def _inside(folder: Path) -> float:
    """Time of the last change directly in a folder; 0 for a file, or an empty one."""
    try:
        return max((entry.stat(follow_symlinks=False).st_mtime for entry in os.scandir(folder)), default=0)
    except OSError:
        return 0


def order(home: Home) -> Iterator[Check]:
    """The clock against the newest file, and leftovers."""
    now = time.time()
    found = walked(home, now)
    yield judge_clock(now, *(found.newest or (None, None)))
    if found.leftovers:
        shown = ", ".join(str(path) for path in found.leftovers[:4])
        more = f" and {len(found.leftovers) - 4} more" if len(found.leftovers) > 4 else ""
        yield warning(
            "leftovers",
            f"of killed runs: {shown}{more}",
            "`qcrd samples gc --yes` for those of samples; the others can be deleted by hand",
        )
    else:
        yield ok("leftovers", "none")


def judge_clock(now: float, newest: float | None, path: Path | None) -> Check:
    """What a file newer than the clock means."""
    if newest is None or newest <= now + AHEAD:
        return ok("clock", f"{_said(now)}; nothing in the home is newer")
    return warning(
        "clock",
        f"{_said(now)}, but {path} is of {_said(newest)}",
        "set the clock (NTP): leases and results do not depend on it, the times in journals and MLflow do",
    )


def store(home: Home) -> Iterator[Check]:
    """Every stored file of samples against its checksum."""
    samplers = inventory.samplers(home.samples)
    # What was put aside before is a leftover: a run has dealt with it.
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
            "`qcrd samples verify` lists all; the next run draws what is lost, and nothing else",
        )
    else:
        shards = sum(len(list(sampler.glob("*.parquet"))) for sampler in samplers)
        yield ok("samples", f"{len(samplers)} samplers, {shards} files, nothing damaged")


def results(home: Home) -> Iterator[Check]:
    """Every finished cell's record and answers against their checksums."""
    folders = [path.parent for path in sorted((home.root / "cells").glob(f"*/{RECORD}"))]
    damaged = []
    for folder in folders:
        try:
            home.check_result(folder.name)
        except DamagedResult as trouble:
            damaged.append(trouble)
    if damaged:
        first = told("results", damaged[0])
        more = f" and {len(damaged) - 1} more" if len(damaged) > 1 else ""
        yield replace(first, found=first.found + more)
    else:
        yield ok("results", f"{len(folders)} finished cells, nothing damaged")


def _said(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).isoformat(" ", "seconds")
