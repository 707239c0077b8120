"""The option --tracking of commands that use MLflow."""

from __future__ import annotations

from typing import Annotated

import typer

from qcrd.tracking.address import without_password

Tracking = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI", help="Address of the MLflow server.", callback=without_password
    ),
]
