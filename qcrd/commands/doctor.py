"""`qcrd doctor`: checks the installation, machine and services before a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.tracking import Tracking


def doctor(
    grid: Annotated[Path | None, typer.Argument(help="A grid whose requirements to check.")] = None,
    settings: Set = None,
    limit: Limit = None,
    preset: Annotated[str | None, typer.Option(help="Overrides the file's: auto, embedded, paper.")] = None,
    tracking: Tracking = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON list.")] = False,
) -> None:
    """Check the installation before a run; prints one line per check, with a remedy for each problem.

    Checks versions, GPU, memory, disk, QCRD_HOME and its content, Ray, MLflow and the Hub; with a grid also
    its data, models, engines and resources. Changes nothing. Exits with 1 if there is an error.

    Examples:

      qcrd doctor

      qcrd doctor grids/table1.yaml

      qcrd doctor --json | jq '.[] | select(.state != "ok")'
    """
    from qcrd.doctor.examination import examination
    from qcrd.storage.home import Home

    checks = []
    for check in examination(Home.default(), tracking or None, grid, preset, changes(settings, limit)):
        checks.append(check)
        if not as_json:
            typer.echo(f"{check.state:8} {check.name}: {check.found}")
            if check.remedy:
                typer.echo(f"{'':8} -> {check.remedy}")
    if as_json:
        typer.echo(json.dumps([asdict(check) for check in checks], indent=1))
    raise typer.Exit(1 if any(check.state == "error" for check in checks) else 0)
