"""`qcrd cost`: what grids take in GPU hours, counted from their settings alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def cost(
    grids: Annotated[list[Path], typer.Argument(help="Grid files; cells that several have count once.")],
    preset: Annotated[str, typer.Option(help="embedded or paper; auto is paper here.")] = "paper",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for programs.")] = False,
) -> None:
    """Count what grids compute, and give GPU hours of named cards, before anything has run.

    Needs no data, model, GPU or network. What the hours rest on is said last.

    Example: qcrd cost grids/table?.yaml grids/figure5.yaml
    """
    from qcrd.config.presets import resolve
    from qcrd.grid.plan.cost import basis, text
    from qcrd.grid.plan.cost import cost as counted
    from qcrd.grid.plan.file import read_grid

    found, everything = {}, []
    for path in grids:
        file = read_grid(path)
        cells = [planned.cell.settings for planned in file.cells(resolve(preset, 1))]
        found[file.grid.name] = counted(cells)
        everything += cells
    whole = counted(everything)
    if as_json:
        each = {name: one.as_object() for name, one in found.items()}
        typer.echo(json.dumps({"grids": each, "all": whole.as_object()}, indent=1))
        return
    for name, one in found.items():
        typer.echo(text(name, one))
    if len(found) > 1:
        typer.echo(text("all, what they share once", whole))
    typer.echo(basis())
