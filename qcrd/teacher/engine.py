"""The interface of teacher engines: the identity of their answers, the settings they read, and sampling."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from qcrd.config import Resources, Section, Teacher
from qcrd.fingerprint import fingerprint_path
from qcrd.samples.requests import Request, SampleFn
from qcrd.types import Sample

OPTIONAL = ("path", "base_url", "dtype", "quantization", "max_len")
"""Teacher settings that only some engines read."""


class Engine:
    """Base class of teacher engines, registered by name; subclass `LocalEngine` or `ActorEngine`."""

    name: str
    """Value of `teacher.engine` that selects it."""
    reads: frozenset[str] = frozenset()
    """The `OPTIONAL` settings that the engine reads; setting another one is an error."""
    needs: frozenset[str] = frozenset()
    """Required settings: "path", or "model" for engines that cannot run the embedded model."""
    weights: bool = False
    """Whether the engine loads the weights of `teacher.model`, from a folder or the Hub."""
    draws: bool = True
    """False for recorded answers: some may be missing, and sampling settings have no effect."""
    options: type[Section] | None = None
    """Schema of `teacher.options`; None allows no options."""

    def settings(self, teacher: Teacher) -> Section:
        """`teacher.options`, validated and completed with defaults."""
        return (self.options or Section).model_validate(dict(teacher.options))

    def faults(self, teacher: Teacher) -> Iterator[str]:
        """Error messages about a teacher's settings for this engine."""
        if "path" in self.needs and not teacher.path:
            yield f"teacher.path is needed where teacher.engine is {self.name!r}"
        if "model" in self.needs and teacher.model == "embedded":
            yield f"teacher.model is needed where teacher.engine is {self.name!r}; 'embedded' is for vllm"

    def identity(self, teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
        """Everything that determines an answer except the prompt, the draw's index and `Teacher.limit`.

        Raises:
            ConfigError: if a file or library that it depends on is missing.
        """
        engine, version = self.build()
        return {
            "engine": engine,
            "version": version,
            "model": self.model(teacher),
            # The tokenizer is the model's, so the revision also covers the tokenizer and its chat template.
            # The template, applied to every prompt, also decides whether there is a system role, and thus
            # which message holds the instructions.
            "tokenizer": "model",
            "chat": "messages",
            "temperature": float(teacher.temperature),
            "top_p": float(teacher.top_p),
            "stop": list(stop),
            "seed": teacher.seed,
            "dtype": teacher.dtype,
            "quantization": teacher.quantization,
        }

    def build(self) -> tuple[str, str | None]:
        """Name and version of the library that computes the answers, without importing it.

        The version is None for a server.
        """
        return self.name, None

    def model(self, teacher: Teacher) -> dict[str, Any]:
        """The model's part of the identity; a local model is identified by its content, not its path."""
        if self.weights and Path(teacher.model).is_dir():
            return {"name": "folder", "content": fingerprint_path(Path(teacher.model))}
        return {"name": teacher.model, "revision": teacher.revision}


@dataclass(frozen=True, slots=True)
class Job:
    """The work for which an engine is opened."""

    requests: Sequence[Request]  # all required requests, stored or not
    missing: Sequence[Request]  # the subset that is not stored and will be sampled
    resources: Resources  # of the grid
    say: Callable[[str], None]  # prints a line for the user


class LocalEngine(Engine):
    """An engine that runs in the driver's process, or calls a remote server from it."""

    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> AbstractContextManager[SampleFn]:
        """Context manager that yields the function answering requests.

        Args:
            teacher: the teacher's settings.
            stop: strings at which an answer ends.
            job: the requests and resources.
        """
        raise NotImplementedError


class Sampler(Protocol):
    """A model with asynchronous input: callers alternate `feed` and `take`, so that it is never idle."""

    def feed(self, requests: Sequence[Request]) -> None:
        """Queue more requests."""
        ...

    def take(self, seconds: float) -> list[Sample]:
        """Work for about `seconds` or until the queue is empty; returns newly finished samples."""
        ...


class ActorEngine(Engine):
    """An engine that runs in Ray actors, which are restarted when they die; see `resources.teacher_*`."""

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """Load the model; called in the actor.

        Args:
            teacher: the teacher's settings.
            stop: strings at which an answer ends.
            resources: of the grid.
            gpus: number of GPUs assigned to the actor.
        """
        raise NotImplementedError
