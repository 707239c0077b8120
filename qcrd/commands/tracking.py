"""The option --tracking of commands that use MLflow."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import urlsplit

import typer

from qcrd.errors import QcrdError


def _without_password(uri: str | None) -> str | None:
    """Reject an address with credentials, since runs print and store it."""
    if uri and "@" in urlsplit(uri).netloc:
        raise QcrdError(
            "the address of MLflow (--tracking, MLFLOW_TRACKING_URI) holds a name or password; take it out, "
            "and export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    return uri


Tracking = Annotated[
    str | None,
    typer.Option(
        envvar="MLFLOW_TRACKING_URI", help="Address of the MLflow server.", callback=_without_password
    ),
]
