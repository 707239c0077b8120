"""Whether the Hugging Face Hub is reachable, and a context that avoids its timeouts if it is not."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from qcrd.doctor import web
from qcrd.doctor.check import Check, ok, warning

_OFFLINE = "HF_HUB_OFFLINE"


def hub() -> Iterator[Check]:
    """Check the Hub; an unreachable one is a warning, since only grids that name Hub ids need it."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        yield ok("Hub", "offline mode is set (HF_HUB_OFFLINE); what is in the cache or in folders is used")
    elif isinstance(answer := _status(), str):
        yield warning(
            "Hub",
            f"{constants.ENDPOINT}: {answer}",
            "grids that name folders do not need it; HF_HUB_OFFLINE=1 avoids timeouts, HTTPS_PROXY or "
            "HF_ENDPOINT sets a proxy or mirror",
        )
    else:
        yield ok("Hub", f"{constants.ENDPOINT} answers")


@contextmanager
def unasked_if_out_of_reach() -> Iterator[None]:
    """Context in offline mode if the Hub does not answer: its libraries would retry six times for 25 s."""
    if not isinstance(_status(), str):
        yield
        return
    from huggingface_hub import constants

    # Both libraries read the variable on import, and `datasets` may be imported inside the context.
    variable, constant = os.environ.get(_OFFLINE), constants.HF_HUB_OFFLINE
    os.environ[_OFFLINE] = "1"
    _set_offline(True)
    try:
        yield
    finally:
        if variable is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = variable
        _set_offline(constant)


def _set_offline(value: bool) -> None:
    """Set the constant in libraries that are already imported; importing `datasets` would take seconds."""
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            vars(sys.modules[name])["HF_HUB_OFFLINE"] = value


@lru_cache(maxsize=1)
def _status() -> int | str:
    from huggingface_hub import constants

    return web.status(constants.ENDPOINT)
