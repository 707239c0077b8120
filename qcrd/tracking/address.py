"""The address of an MLflow server, as users give it."""

from __future__ import annotations

from urllib.parse import urlsplit

from qcrd.errors import QcrdError


def without_password(uri: str | None) -> str | None:
    """The address itself.

    Raises:
        QcrdError: if it has a name or a password, since runs print and store it.
    """
    if uri and "@" in urlsplit(uri).netloc:
        raise QcrdError(
            "the address of MLflow (--tracking, MLFLOW_TRACKING_URI) holds a name or password; take it out, "
            "and export MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead"
        )
    return uri
