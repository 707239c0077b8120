"""`qcrd grids`: lists the grids that come with qcrd."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qcrd.grid.plan.shipped import ShippedGrid


def grids(
    folder: Annotated[
        Path | None, typer.Argument(help="Folder with grids. [default: those that come with qcrd]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """List the grids that come with qcrd: cells, time that is left on this machine if known, content.

    Examples:

      qcrd grids

      qcrd run quickstart          one of them by its name

      qcrd grids my-grids/ --json | jq '.[] | select(.finished < .cells) | .path'
    """
    from qcrd.doctor.hub import unasked_if_out_of_reach
    from qcrd.grid.plan import shipped
    from qcrd.grid.plan.shipped_folder import shipped_folder
    from qcrd.storage.home import Home

    found = shipped.grids(folder or shipped_folder(), Home.default(), unasked_if_out_of_reach)
    if as_json:
        typer.echo(json.dumps([{**asdict(grid), "path": str(grid.path)} for grid in found], indent=1))
        return
    rows = [(_shown(grid.path), _cells(grid), _time(grid), grid.description) for grid in found]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for row in rows:
        columns = [f"{text:{width}}" for text, width in zip(row[:3], widths, strict=True)]
        typer.echo("  ".join([*columns, row[3]]).rstrip())
    for grid in found:
        if grid.error:
            typer.echo(f"{_shown(grid.path)}: {grid.error}")


def _shown(path: Path) -> str:
    """The path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _cells(grid: ShippedGrid) -> str:
    if grid.cells is None:
        return ""
    return f"{grid.cells} cell{'s' * (grid.cells != 1)}, {grid.preset}"


def _time(grid: ShippedGrid) -> str:
    from qcrd.grid.console import duration

    if grid.error:
        return "not planned"
    if grid.cells is not None and grid.finished == grid.cells:
        return "done"
    return "time unknown" if grid.seconds is None else f"about {duration(grid.seconds)}"
