"""Opens a teacher's engine for sampling, in actors or in this process, and trains the embedded teacher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import ray

from qcrd.config import Resources, Teacher
from qcrd.grid.cluster.engines import Engines, Say, result_of
from qcrd.grid.cluster.shares import Shares
from qcrd.plugins import carried
from qcrd.quick_imports import quick_model_imports
from qcrd.samples.requests import Request, SampleFn
from qcrd.storage.home import Home
from qcrd.teacher.engine import ActorEngine, Job, LocalEngine, Sampler
from qcrd.teacher.engines import ENGINES
from qcrd.teacher.packaged import packaged_teacher
from qcrd.teacher.recipe import EmbeddedRecipe

REPORT_SECONDS = 10.0  # between two lines about the embedded teacher's training


def hub_commit(teacher: Teacher) -> str | None:
    """The Hub commit of the teacher's revision; None if it is not on the Hub, or the Hub is unreachable."""
    if not ENGINES[teacher.engine].weights or teacher.embedded:
        return None
    from qcrd.hub.checkpoints import commit  # imports transformers

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
    """Context with a SampleFn over the teacher's engine, which ends with the context.

    Args:
        teacher: the teacher's settings.
        stop: strings at which an answer ends.
        requests: all required requests, whether their answers are stored or not.
        resources: the grid's resources.
        shares: CPUs and GPUs of an engine.
        home: home for the embedded teacher.
        say: prints a line to the user.
        missing: requests whose answers are not stored; None: all.

    Raises:
        QcrdError: for errors that the user can correct.
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
    if trained:  # perhaps trained on another machine
        trained.fetch(Path(teacher.model))
    engine = ENGINES[teacher.engine]
    assert isinstance(engine, ActorEngine)  # the other engines are opened in `sampler`
    return engine.start(teacher, stop, resources, gpus)


class _Trainer:
    """Actor that trains the embedded teacher and reports its progress meanwhile."""

    def __init__(self) -> None:
        self.latest: tuple[int, int, float | None] = (0, 0, None)

    def train(self, home: Home, teacher: Teacher) -> Path:
        with quick_model_imports():
            from qcrd.teacher.embedded import ensure_embedded_teacher

        def note(step: int, steps: int, loss: float, accuracy: float | None) -> None:
            self.latest = (step, steps, accuracy if accuracy is not None else self.latest[2])

        return ensure_embedded_teacher(home.teachers, EmbeddedRecipe.of(teacher), note, home.bucket)

    def progress(self) -> tuple[int, int, float | None]:
        return self.latest


def train_embedded(home: Home, teacher: Teacher, cpus: float, say: Say) -> Path:
    """Folder of the embedded teacher; on a worker it is trained if the package does not have it."""
    recipe = EmbeddedRecipe.of(teacher)
    if (packaged := packaged_teacher(home.teachers, recipe, home.bucket)) is not None:
        return packaged
    actor = ray.remote(_Trainer).options(num_cpus=cpus, max_concurrency=2).remote()
    waiting = [actor.train.remote(home, teacher)]
    while not (finished := ray.wait(waiting, timeout=REPORT_SECONDS)[0]):
        step, steps, accuracy = result_of(actor.progress.remote())
        correct = f", {100 * accuracy:.0f}% of its samples are correct" if accuracy is not None else ""
        if step:
            say(f"teacher: training the embedded teacher, step {step} of at most {steps}{correct}")
    return Path(result_of(finished[0]))
