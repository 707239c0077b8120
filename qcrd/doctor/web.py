"""HTTP status requests with a short timeout."""

from __future__ import annotations

from collections.abc import Mapping

LIMIT = 5.0  # seconds
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def status(url: str, headers: Mapping[str, str] | None = None) -> int | str:
    """The status code of a GET request, or the error message if there was no answer."""
    import httpx2

    try:
        with httpx2.Client(timeout=LIMIT, trust_env=not loopback(url)) as client:
            return client.get(url, headers=dict(headers or {})).status_code
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as trouble:
        return str(trouble) or type(trouble).__name__


def loopback(url: str) -> bool:
    """Whether an address is a loopback address, which a proxy cannot reach."""
    import httpx2

    return httpx2.URL(url).host in LOOPBACK
