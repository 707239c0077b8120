"""What runs elsewhere: the teacher's engines, and the pretraining of discriminators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from qcrd import pipeline
from qcrd.config import Cell, Resources, Teacher
from qcrd.errors import QcrdError
from qcrd.home import Home
from qcrd.teacher.base import Request
from qcrd.teacher.embedded import EmbeddedRecipe, ensure_embedded_teacher
from qcrd.types import Sample

Say = Callable[[str], None]
SECONDS = 10.0  # between two lines about the teacher's training


@dataclass(frozen=True, slots=True)
class Shares:
    """CPUs and GPUs of one cell and of one teacher."""

    cell_cpus: float
    cell_gpus: float
    teacher_cpus: float
    teacher_gpus: float


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


def train_teacher(home: Home, teacher: Teacher, cpus: float, say: Say) -> Path:
    """Folder of the embedded teacher, trained on a worker if nobody has."""
    actor = ray.remote(_Trainer).options(num_cpus=cpus, max_concurrency=2).remote()
    waiting = [actor.train.remote(home.teachers, teacher)]
    while not (done := ray.wait(waiting, timeout=SECONDS)[0]):
        step, steps, accuracy = answer(actor.progress.remote())
        known = f", {100 * accuracy:.0f}% of its samples right" if accuracy is not None else ""
        if step:
            say(f"teacher: training the embedded one, step {step} of at most {steps}{known}")
    return answer(done[0])


def answer(reference: Any) -> Any:
    """What a worker returned; what it raised, if that is for the user, as it was raised there."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, QcrdError):
            raise error.cause from None
        raise


class _Engine:
    """A vLLM engine in its own process; a crash of the engine is a crash of this actor."""

    def __init__(self, settings: dict[str, Any]):
        from qcrd.teacher.vllm import VllmSampler

        self.sampler = VllmSampler(**settings)

    def sample(self, requests: Sequence[Request]) -> list[Sample]:
        return self.sampler(requests)

    def ready(self) -> bool:
        return True


class Engines:
    """A SampleFn over several vLLM actors; use it as a context, its actors end with it.

    Engines start one after the other, because each measures free memory while it starts.
    """

    def __init__(
        self, model: str, teacher: Teacher, stop: Sequence[str], resources: Resources, shares: Shares
    ):
        self.settings = {
            "model": model,
            "revision": teacher.revision,
            "temperature": teacher.temperature,
            "top_p": teacher.top_p,
            "max_tokens": teacher.max_tokens,
            "stop": list(stop),
            "tensor_parallel": max(1, int(shares.teacher_gpus)),
            "memory": resources.teacher_memory,
            "max_len": teacher.max_len,
        }
        self.options = {"num_cpus": shares.teacher_cpus, "num_gpus": shares.teacher_gpus}
        self.count = resources.teacher_actors
        self.actors: list[Any] = []

    def __enter__(self) -> Engines:
        for _ in range(self.count):
            actor = ray.remote(_Engine).options(**self.options).remote(self.settings)
            self.actors.append(actor)
            answer(actor.ready.remote())
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self.actors:
            ray.kill(actor)

    def __call__(self, requests: Sequence[Request]) -> list[Sample]:
        """Every actor takes its share."""
        shares = [requests[i :: len(self.actors)] for i in range(len(self.actors))]
        asked = [a.sample.remote(s) for a, s in zip(self.actors, shares, strict=True) if s]
        return [sample for each in asked for sample in answer(each)]


def _pretrain(cell: Cell, home: Home, threads: int) -> str:
    import torch

    torch.set_num_threads(threads)
    return str(pipeline.ensure_discriminator(cell, home))


def pretrain_discriminators(cells: Sequence[Cell], home: Home, cpus: float, gpus: float, say: Say) -> None:
    """Pretrain the discriminator of each cell, side by side.

    One that fails is said and left; the cells that need it will fail with its reason, and no others.
    """
    task = ray.remote(_pretrain).options(num_cpus=cpus, num_gpus=gpus, max_retries=2)
    waiting = [task.remote(cell, home, max(1, int(cpus))) for cell in cells]
    say(f"discriminators: {len(cells)} to pretrain")
    while waiting:
        done, waiting = ray.wait(waiting)
        try:
            answer(done[0])
        except (QcrdError, RayError) as error:
            say(f"discriminators: one failed: {str(error).strip().splitlines()[-1]}")
        say(f"discriminators: {len(cells) - len(waiting)} of {len(cells)} done")
