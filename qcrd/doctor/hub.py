"""The model hub: whether it answers, and sparing others the wait where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache

from qcrd.doctor import web
from qcrd.doctor.check import Check, ok, warning


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
    import datasets
    from huggingface_hub import constants

    places = (constants, datasets.config)  # both read the variable when they are imported
    before = [place.HF_HUB_OFFLINE for place in places]
    if isinstance(_asked(), str):
        for place in places:
            place.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        for place, value in zip(places, before, strict=True):
            place.HF_HUB_OFFLINE = value


@lru_cache(maxsize=1)
def _asked() -> int | str:
    from huggingface_hub import constants

    return web.status(constants.ENDPOINT)
