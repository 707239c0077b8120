"""Draws what a store lacks, in chunks that are each safe before the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from qcrd.teacher.base import Request, SampleFn
from qcrd.teacher.store import SampleStore

Progress = Callable[[int, int, float], None]  # samples there, samples wanted, samples per second


def draw(
    store: SampleStore, requests: Sequence[Request], sample: SampleFn, chunk: int, progress: Progress
) -> int:
    """Draw the requests that are not stored yet; a kill loses at most one chunk.

    The store is locked meanwhile, so of two jobs that want the same samples one draws and the other finds
    them. Draws made for a smaller m are kept: going from m = 5 to 20 draws 15.

    Args:
        store: where the samples go.
        requests: what is wanted; what is there already costs nothing.
        sample: the teacher. It is not called when nothing is missing.
        chunk: requests per commit.
        progress: called at the beginning and after each chunk.

    Returns:
        How many requests the teacher had no answer for.

    Raises:
        ValueError: if the teacher returns a sample that was not asked for.
    """
    with store.lock():
        missing = store.missing(requests)
        wanted = len({r.key for r in requests})
        there = wanted - len(missing)
        progress(there, wanted, 0.0)
        begun, drawn = time.monotonic(), 0
        for start in range(0, len(missing), chunk):
            batch = missing[start : start + chunk]
            prompts = {r.prompt_id: r.prompt for r in batch}
            samples = sample(batch)
            _check(batch, samples)
            store.add(samples, prompts)
            drawn += len(samples)
            progress(there + drawn, wanted, drawn / max(time.monotonic() - begun, 1e-9))
        return len(missing) - drawn


def _check(batch: Sequence[Request], samples: Sequence) -> None:
    keys = [(s.prompt_id, s.index) for s in samples]
    strange = set(keys) - {r.key for r in batch}
    if strange or len(set(keys)) < len(keys):
        raise ValueError(
            f"the teacher returned samples that were not asked for, or twice: {sorted(strange)[:3]}"
        )
