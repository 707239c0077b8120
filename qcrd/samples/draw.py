"""Draw missing samples from the teacher and commit them to the store in batches."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from qcrd.samples.received import Received
from qcrd.samples.requests import Request, SampleFn
from qcrd.samples.store import SampleStore
from qcrd.types import Sample

Progress = Callable[[int, int, float], None]  # (stored samples, requested samples, samples per second)

COMMIT = 2000  # commit after this many samples, or
SECONDS = 10.0  # after this many seconds: the most that a kill can lose
LOOK = 15.0  # seconds between two checks of a job that waits for another one to draw


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

    Only one job at a time draws into a store; a second job that needs the same samples waits and reads them.
    Existing draws are reused: going from m = 5 to 20 draws 15. An error or an interrupt loses none of the
    samples that the teacher has returned; a kill loses those since the last commit.

    Args:
        store: store of the samples.
        requests: requested samples.
        sample: the teacher; not called if nothing is missing.
        progress: called at the beginning, whenever samples arrive, and while another job draws.
        commit: number of samples after which to commit.
        seconds: time after which to commit.
        look: seconds between two checks while another job draws.

    Returns:
        Number of requests for which the teacher had no answer.

    Raises:
        StoreError: if samples cannot be stored, or another job has taken over the store.
        ValueError: if the teacher returns a sample that was not requested, a duplicate, or one without text.
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
        missing = store.missing(requests)  # another job may have drawn some meanwhile
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
    stored = wanted - len(missing)
    prompts = {r.prompt_id: r.prompt.text for r in missing}
    begun = last = time.monotonic()
    drawn, uncommitted, first = 0, [], 0
    received = Received(store.limit.max_tokens)
    try:
        for samples in _checked(missing, sample(missing), received):
            now = time.monotonic()
            if not drawn:  # exclude the engines' start-up time from the rate
                begun, first = now, len(samples)
            uncommitted += samples
            drawn += len(samples)
            if len(uncommitted) >= commit or now - last >= seconds:
                store.add(uncommitted, prompts)
                uncommitted, last = [], now
            progress(stored + drawn, wanted, _rate(drawn - first, now - begun))
    finally:
        store.add(uncommitted, prompts)
        store.compact()
        received.say()
    return len(missing) - drawn


def _rate(samples: int, seconds: float) -> float:
    """Samples per second; 0 if not known yet."""
    return samples / seconds if seconds > 0 else 0.0


def _checked(
    asked: Sequence[Request], answered: Iterable[list[Sample]], received: Received
) -> Iterator[list[Sample]]:
    """Convert the teacher's answers for storage, checking that each was requested and comes only once."""
    pending = {r.key for r in asked}
    for samples in answered:
        for sample in samples:
            key = (sample.prompt_id, sample.index)
            if key not in pending:
                raise ValueError(f"the teacher returned a sample that was not asked for, or one twice: {key}")
            pending.remove(key)
        yield [converted for sample in samples if (converted := received(sample)) is not None]
