"""Gets what a grid needs of a teacher into the store, whatever its engine."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ray

from qcrd.config import Resources, Teacher
from qcrd.grid.engines import Engines, Say, answer
from qcrd.grid.shares import Shares
from qcrd.home import Home
from qcrd.teacher.base import Request, SampleFn
from qcrd.teacher.embedded import EmbeddedRecipe, ensure_embedded_teacher
from qcrd.teacher.recorded import RecordedTeacher

SECONDS = 10.0  # between two lines about the teacher's training


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
        requests: all that is wanted of it, stored or not: to see that recorded answers are of these
            questions.
        resources: of the grid.
        shares: of one engine.
        home: where teachers that are trained here are kept.
        say: what a person is told.
        missing: those that are not stored, to say what a server will cost; None is all.

    Raises:
        QcrdError: for what the user can mend.
    """
    if teacher.engine == "recorded":
        recorded = RecordedTeacher(teacher.path)
        recorded.check(requests)
        yield recorded
    elif teacher.engine == "openai":
        from qcrd.teacher.openai import ServerTeacher

        with ServerTeacher(teacher, stop, resources.api) as server:
            say(f"teacher: {server.url}: {server.estimate(requests if missing is None else missing)}")
            try:
                yield server
            finally:
                say(f"teacher: {server.url}: {server.summary()}")
    else:
        model = teacher.model
        if teacher.embedded:
            model = str(train_embedded(home, teacher, shares.teacher_cpus, say))
        settings = engine_settings(model, teacher, stop, resources, shares)
        options = {"num_cpus": shares.teacher_cpus, "num_gpus": shares.teacher_gpus}
        count, restarts = resources.teacher_actors, resources.teacher_restarts
        with Engines(teacher.engine, settings, options, count, restarts, say) as engines:
            yield engines


def engine_settings(
    model: str, teacher: Teacher, stop: Sequence[str], resources: Resources, shares: Shares
) -> dict[str, Any]:
    """Arguments of the engine's sampler."""
    settings = {
        "model": model,
        "revision": teacher.revision,
        "temperature": teacher.temperature,
        "top_p": teacher.top_p,
        "max_tokens": teacher.max_tokens,
        "stop": list(stop),
        "dtype": teacher.dtype,
    }
    if teacher.engine != "vllm":
        return settings
    return {
        **settings,
        "tensor_parallel": max(1, int(shares.teacher_gpus)),
        "memory": resources.teacher_memory,
        "max_len": teacher.max_len,
        "quantization": teacher.quantization,
    }


class _Trainer:
    """Trains the embedded teacher, and says how far it is meanwhile."""

    def __init__(self):
        self.now = (0, 0, None)

    def train(self, root: Path, teacher: Teacher) -> Path:
        def note(step: int, steps: int, loss: float, accuracy: float | None) -> None:
            self.now = (step, steps, accuracy if accuracy is not None else self.now[2])

        return ensure_embedded_teacher(root, EmbeddedRecipe.of(teacher), note)

    def progress(self) -> tuple[int, int, float | None]:
        return self.now


def train_embedded(home: Home, teacher: Teacher, cpus: float, say: Say) -> Path:
    """Folder of the embedded teacher, trained on a worker if nobody has."""
    actor = ray.remote(_Trainer).options(num_cpus=cpus, max_concurrency=2).remote()
    waiting = [actor.train.remote(home.teachers, teacher)]
    while not (done := ray.wait(waiting, timeout=SECONDS)[0]):
        step, steps, accuracy = answer(actor.progress.remote())
        known = f", {100 * accuracy:.0f}% of its samples right" if accuracy is not None else ""
        if step:
            say(f"teacher: training the embedded one, step {step} of at most {steps}{known}")
    return answer(done[0])
