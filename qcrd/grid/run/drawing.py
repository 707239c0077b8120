"""Draws the samples of one need from an open engine, and says what is missing; without Ray."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd.grid.console import SamplingProgress, say, status
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.samples.draw import draw
from qcrd.samples.requests import Request, SampleFn
from qcrd.samples.store import SampleStore
from qcrd.storage.files import write_json
from qcrd.storage.home import Home


def draw_need(
    need: SampleNeed, store: SampleStore, requests: Sequence[Request], sample: SampleFn, home: Home
) -> None:
    """Draw the missing samples of a need into its store; keeps the rate for later estimates of the time.

    Args:
        need: the samples' task and teacher.
        store: their store.
        requests: all requests of the need, stored or not.
        sample: the teacher.
        home: where the rate is written.
    """
    progress = SamplingProgress()
    with status(progress.lines):
        unanswered = draw(store, requests, sample, progress)
    if progress.rate:
        write_json(home.rate(store.folder.name), {"samples_per_second": progress.rate})
    if unanswered:
        say(f"teacher: {need.teacher.name} lacks {unanswered} of {len(requests)} answers to {need.task.name}")
