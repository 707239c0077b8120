"""The grids that come with qcrd, and what each of them is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from qcrd.errors import DataError, QcrdError
from qcrd.grid.plan.checkpoints import needs_hub
from qcrd.grid.plan.overview import FINISHED, time_left
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home


@dataclass(frozen=True, slots=True)
class ShippedGrid:
    """A grid, as it would be run on this machine."""

    path: Path
    name: str
    description: str = ""
    preset: str = ""
    cells: int | None = None
    finished: int = 0
    seconds: float | None = None  # estimated for the unfinished cells; None if unknown
    error: str = ""  # why it cannot be planned here; its first line


def grids(
    root: Path, home: Home, asking: Callable[[], AbstractContextManager[None]] = nullcontext
) -> list[ShippedGrid]:
    """All grids in a folder, by name.

    Args:
        root: the folder.
        home: where results are.
        asking: context of planning a grid that may ask the Hub.

    Raises:
        DataError: if it has none.
    """
    paths = sorted(root.glob("*.yaml"))
    if not paths:
        raise DataError(f"{root} has no grids (files that end in .yaml)")
    return [_described(path, home, asking) for path in paths]


def _described(path: Path, home: Home, asking: Callable[[], AbstractContextManager[None]]) -> ShippedGrid:
    described = ShippedGrid(path, path.stem)
    try:
        study = Study.open(path, home)
        grid = study.grid
        described = replace(
            described,
            name=grid.name,
            description=grid.description,
            preset=study.preset,
            cells=len(study.cells),
        )
        with asking() if needs_hub(planned.cell.settings for planned in study.cells) else nullcontext():
            finished = sum(state in FINISHED for state in study.states())
            return replace(described, finished=finished, seconds=time_left(study).seconds)
    except QcrdError as error:
        return replace(described, error=_first_line(error, path))


def _first_line(error: QcrdError, path: Path) -> str:
    return str(error).splitlines()[0].removeprefix(f"{path}:")
