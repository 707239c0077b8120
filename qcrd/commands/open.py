"""`qcrd open`: opens MLflow's page that compares a grid's runs."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.commands.tracking import Tracking
from qcrd.errors import QcrdError


def open_page(
    grid: Annotated[Path, typer.Argument(help="The grid's YAML file, such as grids/quickstart.yaml.")],
    only_print: Annotated[bool, typer.Option("--print", help="Only print the addresses.")] = False,
    settings: Set = None,
    limit: Limit = None,
    preset: Annotated[str | None, typer.Option(help="Overrides the file's: auto, embedded, paper.")] = None,
    tracking: Tracking = None,
) -> None:
    """Open MLflow's page that compares a grid's runs, or without a server the report; print the addresses.

    Examples:

      qcrd open grids/quickstart.yaml

      qcrd open grids/ablation.yaml --print
    """
    from qcrd.grid.plan.study import Study
    from qcrd.storage.home import Home
    from qcrd.tracking.mlflow.page import REPORT, find

    study = Study.open(grid, Home.default(), preset, changes=changes(settings, limit))
    if tracking:
        page = find(tracking, study.folder, study.id)
        address, lines = page.comparison, f"runs: {page.comparison}\nreport: {page.report}"
    else:
        report = study.folder / REPORT
        if not report.exists():
            raise QcrdError(
                f"{study.grid.name} has no report yet, which `qcrd run` writes at its end; to see the runs "
                "of an MLflow server give --tracking URI or set MLFLOW_TRACKING_URI"
            )
        address = report.as_uri()
        lines = f"report: {address}\nno MLflow server is named (--tracking URI, MLFLOW_TRACKING_URI)"
    typer.echo(lines)
    if not only_print:
        webbrowser.open(address)  # returns False without a browser; the addresses are printed above
