"""`qcrd doctor`: what would stop a run, or let somebody in, found before it does."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.tracking import Tracking


def doctor(
    grid: Annotated[Path | None, typer.Argument(help="A grid, to see what it needs as well.")] = None,
    preset: Annotated[str | None, typer.Option(help="Instead of the file's: auto, embedded, paper.")] = None,
    tracking: Tracking = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON list, for programs.")] = False,
) -> None:
    """Check all that can be checked before a run: a line for each thing, and what to do where it is wrong.

    Versions, GPU, memory, disk, the home and what is in it, Ray, MLflow, the Hub; with a grid also its data,
    models, engines and resources. Changes nothing. Ends with 1 where there is an error.

    Examples:

      qcrd doctor

      qcrd doctor grids/table1.yaml

      qcrd doctor --json | jq '.[] | select(.state != "ok")'
    """
    from qcrd.doctor.examination import examination
    from qcrd.storage.home import Home

    found = []
    for check in examination(Home.default(), tracking or None, grid, preset):
        found.append(check)
        if not as_json:
            typer.echo(f"{check.state:8} {check.name}: {check.found}")
            if check.remedy:
                typer.echo(f"{'':8} -> {check.remedy}")
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in found], indent=1))
    raise typer.Exit(1 if any(check.state == "error" for check in found) else 0)
