"""How commands find the finished cell that is named to them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qcrd.errors import DataError
from qcrd.storage.home import Home

if TYPE_CHECKING:
    from qcrd.grid.plan.changes import Changes


def finished_id(
    home: Home, cell: str, grid: Path | None, changed: Changes | None = None
) -> tuple[str, str | None]:
    """Id and name of a finished cell.

    Args:
        home: where it is.
        cell: its id or a beginning of it, or its name in the grid.
        grid: the grid; without one an id is returned as it is, with no name.
        changed: changes of the grid from the command line.

    Raises:
        ConfigError: if the grid has no such cell, or several.
        DataError: if it is not finished.
    """
    from qcrd.grid.plan.changes import NO_CHANGES
    from qcrd.grid.plan.study import Study

    if grid is None:
        return cell, None
    study = Study.open(grid, home, changes=changed or NO_CHANGES)
    planned = study.find(cell)
    cell_id = planned.cell.id
    study.home.check_result(cell_id)
    if study.home.record(cell_id) is None:
        raise DataError(f"{study.grid.name}: {planned.name!r} is not finished; `qcrd run` the grid first")
    return cell_id, planned.name
