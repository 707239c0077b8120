"""Draws what a store lacks, and keeps what has come before it waits for more."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from qcrd.samples.received import Received
from qcrd.samples.requests import Request, SampleFn
from qcrd.samples.store import SampleStore
from qcrd.types import Sample

Progress = Callable[[int, int, float], None]  # samples there, samples wanted, samples per second

COMMIT = 2000  # samples, or
SECONDS = 10.0  # after which what has come is stored: what a kill can lose
LOOK = 15.0  # seconds after which a job that waits for another looks what has come


def draw(
    store: SampleStore,
    requests: Sequence[Request],
    sample: SampleFn,
    progress: Progress,
    *,
    commit: int = COMMIT,
    seconds: float = SECONDS,
    look: float = LOOK,
) -> int:
    """Draw the requests that are not stored yet.

    Only one job at a time draws into a store, so of two that want the same samples one draws and the other
    finds them. Draws made for a smaller m are kept: going from m = 5 to 20 draws 15. An error or an
    interrupt loses nothing that the teacher has handed over; a kill loses what came since the last commit.

    Args:
        store: where the samples go.
        requests: what is wanted; what is there already costs nothing.
        sample: the teacher. It is not called when nothing is missing.
        progress: called at the beginning, whenever samples have come, and while another job draws.
        commit: samples after which they are stored.
        seconds: time after which they are.
        look: time after which a job that waits for another looks whether what it wants has come.

    Returns:
        How many requests the teacher had no answer for.

    Raises:
        StoreError: if samples cannot be stored, or another job went on in the place of this one.
        ValueError: if the teacher returns a sample that was not asked for, twice, or with no text.
    """
    wanted = len({r.key for r in requests})
    missing = store.missing(requests)
    progress(wanted - len(missing), wanted, 0.0)
    while missing and not store.acquire(timeout=look):
        missing = store.missing(requests)
        progress(wanted - len(missing), wanted, 0.0)
    if not missing:
        return 0
    try:
        missing = store.missing(requests)  # what another job has not drawn until now
        return _draw(store, missing, wanted, sample, progress, commit, seconds) if missing else 0
    finally:
        store.release()


def _draw(
    store: SampleStore,
    missing: Sequence[Request],
    wanted: int,
    sample: SampleFn,
    progress: Progress,
    commit: int,
    seconds: float,
) -> int:
    there = wanted - len(missing)
    prompts = {r.prompt_id: r.prompt.text for r in missing}
    begun = last = time.monotonic()
    drawn, waiting, first = 0, [], 0
    received = Received(store.limit.max_tokens)
    try:
        for samples in _checked(missing, sample(missing), received):
            now = time.monotonic()
            if not drawn:  # until here engines started, which is no rate
                begun, first = now, len(samples)
            waiting += samples
            drawn += len(samples)
            if len(waiting) >= commit or now - last >= seconds:
                store.add(waiting, prompts)
                waiting, last = [], now
            progress(there + drawn, wanted, _rate(drawn - first, now - begun))
    finally:
        store.add(waiting, prompts)
        store.compact()
        received.say()
    return len(missing) - drawn


def _rate(samples: int, seconds: float) -> float:
    """Samples per second; 0 where it cannot be told yet."""
    return samples / seconds if seconds > 0 else 0.0


def _checked(
    asked: Sequence[Request], answered: Iterable[list[Sample]], received: Received
) -> Iterator[list[Sample]]:
    """`answered` as it is to be stored, as long as each sample was asked for and comes once."""
    open_ = {r.key for r in asked}
    for samples in answered:
        for sample in samples:
            key = (sample.prompt_id, sample.index)
            if key not in open_:
                raise ValueError(f"the teacher returned a sample that was not asked for, or one twice: {key}")
            open_.remove(key)
        yield [kept for sample in samples if (kept := received(sample)) is not None]
