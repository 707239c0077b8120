"""What runs elsewhere: the teacher's engines, and the pretraining of discriminators."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from qcrd import pipeline
from qcrd.config import Cell, Resources, Teacher
from qcrd.home import Home
from qcrd.teacher.base import Request
from qcrd.teacher.embedded import EmbeddedRecipe, ensure_embedded_teacher
from qcrd.types import Sample


def _train_teacher(root: Path, teacher: Teacher, threads: int) -> Path:
    import torch

    torch.set_num_threads(threads)
    return ensure_embedded_teacher(root, EmbeddedRecipe.of(teacher), lambda *_: None)


def train_teacher(home: Home, teacher: Teacher, cpus: float) -> Path:
    """Folder of the embedded teacher, trained on a worker if nobody has."""
    task = ray.remote(_train_teacher).options(num_cpus=cpus, max_retries=1)
    return ray.get(task.remote(home.teachers, teacher, max(1, int(cpus))))


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

    def __init__(self, model: str, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float):
        """`gpus` are those of one actor; 0 is the CPU engine."""
        self.settings = {
            "model": model,
            "revision": teacher.revision,
            "temperature": teacher.temperature,
            "top_p": teacher.top_p,
            "max_tokens": teacher.max_tokens,
            "stop": list(stop),
            "tensor_parallel": max(1, int(gpus)),
            "memory": resources.teacher_memory,
            "max_len": resources.teacher_max_len,
        }
        cpus = min(resources.teacher_cpus, ray.cluster_resources().get("CPU", 1))
        self.options = {"num_cpus": cpus, "num_gpus": gpus}
        self.count = resources.teacher_actors
        self.actors: list[Any] = []

    def __enter__(self) -> Engines:
        for _ in range(self.count):
            actor = ray.remote(_Engine).options(**self.options).remote(self.settings)
            self.actors.append(actor)
            ray.get(actor.ready.remote())
        return self

    def __exit__(self, *_: object) -> None:
        for actor in self.actors:
            ray.kill(actor)

    def __call__(self, requests: Sequence[Request]) -> list[Sample]:
        """Every actor takes its share."""
        shares = [requests[i :: len(self.actors)] for i in range(len(self.actors))]
        asked = [a.sample.remote(s) for a, s in zip(self.actors, shares, strict=True) if s]
        return [sample for found in ray.get(asked) for sample in found]


def _pretrain(cell: Cell, home: Home, threads: int) -> str:
    import torch

    torch.set_num_threads(threads)
    return str(pipeline.ensure_discriminator(cell, home))


def pretrain_discriminators(cells: Sequence[Cell], home: Home, cpus: float, gpus: float, say) -> None:
    """Pretrain the discriminator of each cell, side by side; `say` gets (done, all)."""
    task = ray.remote(_pretrain).options(num_cpus=cpus, num_gpus=gpus, max_retries=2)
    waiting = [task.remote(cell, home, max(1, int(cpus))) for cell in cells]
    say(0, len(cells))
    while waiting:
        done, waiting = ray.wait(waiting)
        ray.get(done)
        say(len(cells) - len(waiting), len(cells))
