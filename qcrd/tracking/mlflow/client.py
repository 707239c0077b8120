"""An MLflow client with short timeouts, and helpers for its errors."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from typing import Any

from qcrd.quick_imports import quick_imports

_ENVIRONMENT = {
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # the next push is the retry
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",  # seconds; a server on a loaded machine may need ten
    "MLFLOW_ARTIFACT_UPLOAD_DOWNLOAD_TIMEOUT": "60",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "ERROR",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GIT_PYTHON_REFRESH": "quiet",
}


def open_client(uri: str) -> Any:
    """A client of the server. Imports mlflow here, since this takes seconds and reads the environment."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    with quick_imports():
        from mlflow import MlflowClient

    for name in ("alembic", "urllib3.connectionpool"):
        logging.getLogger(name).setLevel(logging.ERROR)
    return MlflowClient(tracking_uri=uri)


def all_runs(client: Any, experiment_id: str, query: str = "") -> Iterator[Any]:
    """The matching runs of an experiment, in order of start time; fetches page by page."""
    token = None
    while token != "":
        page = client.search_runs(
            [experiment_id], query, order_by=["attributes.start_time ASC"], page_token=token
        )
        yield from page
        token = page.token or ""


def refusal(uri: str) -> str:
    """The error message of a server that refuses our credentials; "" if it accepts them."""
    try:
        open_client(uri).search_experiments(max_results=1)
    except Exception as trouble:  # the client raises arbitrary exceptions
        return one_line(trouble)
    return ""


def is_refusal(trouble: Exception) -> bool:
    """Whether the server answered and refused this run only (deleted run, invalid value)."""
    code = getattr(trouble, "error_code", None)
    return code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE", "INVALID_STATE")


def one_line(trouble: BaseException) -> str:
    """The error in one line of at most 300 characters; for a failed connection the system's root error."""
    root = trouble
    while cause := root.__cause__ or root.__context__:
        root = cause
    if isinstance(root, OSError):
        trouble = root
    text = " ".join(str(trouble).split()) or type(trouble).__name__
    return text if len(text) <= 300 else text[:297] + "..."
