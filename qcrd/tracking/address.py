"""The address of an MLflow server, as users give it."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from qcrd.errors import QcrdError


def without_password(uri: str | None) -> str | None:
    """The address itself.

    Raises:
        QcrdError: if it has a name or a password, since runs print and store it, or no scheme.
    """
    if uri and "@" in urlsplit(uri).netloc:
        raise QcrdError(
            "the address of MLflow (--tracking, MLFLOW_TRACKING_URI) holds a name or password; take it out, "
            "and export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    if uri and re.match(r"[\w.-]+:\d+(/|$)", uri):
        raise QcrdError(
            f"the address of MLflow (--tracking, MLFLOW_TRACKING_URI) is {uri!r}, without a scheme; write "
            f"http://{uri}"
        )
    return uri
