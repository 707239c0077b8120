"""`qcrd rm`: deletes the results of cells."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.errors import ConfigError

SHOWN = 10  # cells named in the question


def remove(
    target: Annotated[
        str, typer.Argument(metavar="GRID|CELL", help="A grid's YAML file, or a cell's id or a prefix of it.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="CELLS", help="Only these cells of the grid, as `qcrd run --only` names them."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    settings: Set = None,
    limit: Limit = None,
) -> None:
    """Delete the results, checkpoints and kept students of cells, after listing them and asking.

    Teacher samples, discriminators and the runs in MLflow stay. Cells with equal settings are shared by all
    grids, so other grids lose them too. `qcrd run` trains deleted cells again.

    Examples:

      qcrd rm grids/table1.yaml

      qcrd rm grids/table1.yaml --only qcrd --only "dss seed=0"

      qcrd rm 3f9a --yes
    """
    from qcrd.cell.finished import whole_id
    from qcrd.cell.remove import remove_cell
    from qcrd.grid.plan.shipped_folder import names_grid
    from qcrd.grid.plan.study import Study, state
    from qcrd.storage.home import Home

    home = Home.default()
    if names_grid(target):
        study = Study.open(Path(target), home, changes=changes(settings, limit))
        chosen = study.matching(only) if only else study.cells
        cells = {planned.cell.id: planned.name for planned in chosen}
    elif only or settings or limit:
        raise ConfigError(f"--only, --set and --limit need a grid's YAML file; {target!r} is none")
    else:
        home.refresh()
        cells = {whole_id(home, target): ""}
    existing = {cell_id: name for cell_id, name in cells.items() if state(home, cell_id) != "planned"}
    if not existing:
        typer.echo("nothing to delete: none of these cells has begun")
        return
    for cell_id, name in list(existing.items())[:SHOWN]:
        typer.echo(f"  {cell_id}  {state(home, cell_id):11}  {name}")
    if len(existing) > SHOWN:
        typer.echo(f"  and {len(existing) - SHOWN} more")
    cells_text = "1 cell" if len(existing) == 1 else f"{len(existing)} cells"
    if not yes and not sys.stdin.isatty():
        raise ConfigError("there is no terminal to ask in; add --yes to delete these cells")
    if not yes and not typer.confirm(f"Delete {cells_text} in {home}? Samples stay."):
        typer.echo("nothing was deleted")
        raise typer.Exit(1)
    for cell_id in existing:
        remove_cell(home, cell_id)
    typer.echo(f"deleted {cells_text}")
