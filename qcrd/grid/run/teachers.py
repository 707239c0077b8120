"""Gets what a grid needs of a teacher into the store, whatever its engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ray

from qcrd.config import Resources, Teacher
from qcrd.grid.cluster.engines import Engines, Say, result_of
from qcrd.grid.cluster.shares import Shares
from qcrd.hub.checkpoints import commit
from qcrd.plugins import carried
from qcrd.samples.requests import Request, SampleFn
from qcrd.storage.home import Home
from qcrd.teacher.embedded import ensure_embedded_teacher
from qcrd.teacher.engine import ActorEngine, Job, LocalEngine, Sampler
from qcrd.teacher.engines import ENGINES
from qcrd.teacher.recipe import EmbeddedRecipe

SECONDS = 10.0  # between two lines about the teacher's training


def hub_commit(teacher: Teacher) -> str | None:
    """The commit that the teacher's revision is now; None for a model from elsewhere, or out of reach."""
    if not ENGINES[teacher.engine].weights or teacher.embedded:
        return None
    return commit(teacher.model, teacher.revision)


@contextmanager
def sampler(
    teacher: Teacher,
    stop: Sequence[str],
    requests: Sequence[Request],
    resources: Resources,
    shares: Shares,
    home: Home,
    say: Say,
    missing: Sequence[Request] | None = None,
) -> Iterator[SampleFn]:
    """A SampleFn over the teacher's engine, which ends with the context.

    Args:
        teacher: who answers, and how it is sampled.
        stop: strings at which an answer ends.
        requests: all that is wanted of it, stored or not.
        resources: of the grid.
        shares: of one engine.
        home: where teachers that are trained here are kept.
        say: what a person is told.
        missing: those that are not stored; None is all.

    Raises:
        QcrdError: for what the user can mend.
    """
    engine = ENGINES[teacher.engine]
    if isinstance(engine, LocalEngine):
        job = Job(requests, requests if missing is None else missing, resources, say)
        with engine.open(teacher, stop, job) as sample:
            yield sample
        return
    trained = home if teacher.embedded else None
    if trained:
        folder = train_embedded(home, teacher, shares.teacher_cpus, say)
        teacher = teacher.model_copy(update={"model": str(folder)})
    start = carried(partial(_start, teacher, stop, resources, shares.teacher_gpus, trained))
    options = {"num_cpus": shares.teacher_cpus, "num_gpus": shares.teacher_gpus}
    bounds = resources.teacher_actors, resources.teacher_restarts, resources.teacher_timeout
    with Engines(start, options, *bounds, say) as engines:
        yield engines


def _start(
    teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float, trained: Home | None
) -> Sampler:
    if trained:  # perhaps on another machine than this
        trained.fetch(Path(teacher.model))
    engine = ENGINES[teacher.engine]
    assert isinstance(engine, ActorEngine)  # the other engines are opened in `sampler`
    return engine.start(teacher, stop, resources, gpus)


class _Trainer:
    """Trains the embedded teacher, and says how far it is meanwhile."""

    def __init__(self):
        self.now: tuple[int, int, float | None] = (0, 0, None)

    def train(self, home: Home, teacher: Teacher) -> Path:
        def note(step: int, steps: int, loss: float, accuracy: float | None) -> None:
            self.now = (step, steps, accuracy if accuracy is not None else self.now[2])

        return ensure_embedded_teacher(home.teachers, EmbeddedRecipe.of(teacher), note, home.bucket)

    def progress(self) -> tuple[int, int, float | None]:
        return self.now


def train_embedded(home: Home, teacher: Teacher, cpus: float, say: Say) -> Path:
    """Folder of the embedded teacher, trained on a worker if nobody has."""
    actor = ray.remote(_Trainer).options(num_cpus=cpus, max_concurrency=2).remote()
    waiting = [actor.train.remote(home, teacher)]
    while not (done := ray.wait(waiting, timeout=SECONDS)[0]):
        step, steps, accuracy = result_of(actor.progress.remote())
        known = f", {100 * accuracy:.0f}% of its samples right" if accuracy is not None else ""
        if step:
            say(f"teacher: training the embedded one, step {step} of at most {steps}{known}")
    return result_of(done[0])
