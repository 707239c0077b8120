"""`qcrd cost`: GPU hours of grids, estimated from their settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Set, changes


def cost(
    grids: Annotated[list[Path], typer.Argument(help="Grid files; shared cells count once.")],
    settings: Set = None,
    preset: Annotated[str, typer.Option(help="embedded or paper; auto means paper here.")] = "paper",
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Estimate the FLOPs of grids and their GPU hours on several GPU models, before running them.

    Needs no data, model, GPU or network. The assumptions are printed at the end.

    Example: qcrd cost grids/table?.yaml grids/figure5.yaml
    """
    from qcrd.config.presets import resolve
    from qcrd.grid.plan.cost import assumptions, text
    from qcrd.grid.plan.cost import cost as counted
    from qcrd.grid.plan.file import read_grid

    costs, all_cells = {}, []
    for path in grids:
        file = read_grid(path, changes(settings, None))
        cells = [planned.cell.settings for planned in file.cells(resolve(preset, 1))]
        costs[file.grid.name] = counted(cells)
        all_cells += cells
    total = counted(all_cells)
    if as_json:
        grid_costs = {name: grid_cost.as_object() for name, grid_cost in costs.items()}
        typer.echo(json.dumps({"grids": grid_costs, "all": total.as_object()}, indent=1))
        return
    for name, grid_cost in costs.items():
        typer.echo(text(name, grid_cost))
    if len(costs) > 1:
        typer.echo(text("all, shared cells counted once", total))
    typer.echo(assumptions())
