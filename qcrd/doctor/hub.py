"""The model hub: whether it answers, and sparing others the wait where it does not."""

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
    """A warning where it is out of reach: only grids that name something of it need it."""
    from huggingface_hub import constants

    if constants.is_offline_mode():
        yield ok("Hub", "offline mode is set (HF_HUB_OFFLINE); what is in the cache or in folders is used")
    elif isinstance(answered := _asked(), str):
        yield warning(
            "Hub",
            f"{constants.ENDPOINT}: {answered}",
            "grids that name folders need none; HF_HUB_OFFLINE=1 keeps others from waiting for it, "
            "HTTPS_PROXY or HF_ENDPOINT where you have one",
        )
    else:
        yield ok("Hub", f"{constants.ENDPOINT} answers")


@contextmanager
def unasked_if_out_of_reach() -> Iterator[None]:
    """Offline mode within, where the Hub does not answer: its libraries ask six times, for 25 s each."""
    if not isinstance(_asked(), str):
        yield
        return
    from huggingface_hub import constants

    # Both libraries read the variable when they are imported, and `datasets` may be imported within.
    said, before = os.environ.get(_OFFLINE), constants.HF_HUB_OFFLINE
    os.environ[_OFFLINE] = "1"
    _set_offline(True)
    try:
        yield
    finally:
        if said is None:
            del os.environ[_OFFLINE]
        else:
            os.environ[_OFFLINE] = said
        _set_offline(before)


def _set_offline(value: bool) -> None:
    """In the libraries that are imported already; importing `datasets` for it would take seconds."""
    for name in ("huggingface_hub.constants", "datasets.config"):
        if name in sys.modules:
            vars(sys.modules[name])["HF_HUB_OFFLINE"] = value


@lru_cache(maxsize=1)
def _asked() -> int | str:
    from huggingface_hub import constants

    return web.status(constants.ENDPOINT)
