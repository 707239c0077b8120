"""`qcrd logs`: what a cell wrote down."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.terminal import plain
from qcrd.errors import ConfigError


def logs(
    cell: Annotated[
        str, typer.Argument(metavar="CELL", help="Id of a cell or a prefix of it; with --grid its name.")
    ],
    grid: Annotated[Path | None, typer.Option(help="Grid of the named cell.")] = None,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=1, help="Events of the journal, and lines of the error.")
    ] = 20,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Show a cell's journal and error: their paths and last lines.

    Examples:

      qcrd logs 3f9a

      qcrd logs "qcrd seed=0" --grid grids/table1.yaml -n 100
    """
    from qcrd.cell.finished import whole_id
    from qcrd.grid.plan.cell_log import log_text
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home

    home = Home.default()
    if grid is not None:
        planned = Study.open(grid, home, changes=changes(settings, limit)).find(cell)
        cell_id, name = planned.cell.id, planned.name
    elif settings or limit:
        raise ConfigError("--set and --limit change a grid; name it by --grid")
    else:
        home.refresh()
        cell_id, name = whole_id(home, cell), ""
    typer.echo(plain(log_text(home, cell_id, name, lines)))
