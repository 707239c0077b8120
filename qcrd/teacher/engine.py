"""What a teacher engine is: how its answers are known, which settings it reads, and how it samples."""

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
"""Settings of a teacher that some engines read and others do not."""


class Engine:
    """A way of getting answers, registered under its name; `LocalEngine` and `ActorEngine` say where."""

    name: str
    """What `teacher.engine` says."""
    reads: frozenset[str] = frozenset()
    """Those of `OPTIONAL` that it reads; the others are refused beside it."""
    needs: frozenset[str] = frozenset()
    """Settings that it cannot do without: path, or model where `embedded` is none of its models."""
    weights: bool = False
    """Whether `teacher.model` is loaded here, from a folder or the Hub."""
    draws: bool = True
    """False for answers that are there already: some may be lacking, and no setting of sampling counts."""
    options: type[Section] | None = None
    """What `teacher.options` may say; None is nothing."""

    def settings(self, teacher: Teacher) -> Section:
        """`teacher.options`, checked and with its defaults."""
        return (self.options or Section).model_validate(dict(teacher.options))

    def faults(self, teacher: Teacher) -> Iterator[str]:
        """What is wrong with the settings of a teacher of this engine."""
        if "path" in self.needs and not teacher.path:
            yield f"teacher.path is needed where teacher.engine is {self.name!r}"
        if "model" in self.needs and teacher.model == "embedded":
            yield f"teacher.model is needed where teacher.engine is {self.name!r}; 'embedded' is for vllm"

    def identity(self, teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
        """All that changes an answer besides the prompt, the number of the draw and `Teacher.limit`.

        Raises:
            ConfigError: where something that it depends on is not there.
        """
        engine, version = self.build()
        return {
            "engine": engine,
            "version": version,
            "model": self.model(teacher),
            # The tokenizer is the model's own, so its revision covers it and its chat template, which every
            # prompt goes through as messages where there is one. Whether that has a system role follows from
            # it too, and with it in which message the instructions stand.
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
        """Name and version of what computes the answers, found without importing it; None for a server."""
        return self.name, None

    def model(self, teacher: Teacher) -> dict[str, Any]:
        """The model's part of the identity: a local one's content, not its place."""
        if self.weights and Path(teacher.model).is_dir():
            return {"name": "folder", "content": fingerprint_path(Path(teacher.model))}
        return {"name": teacher.model, "revision": teacher.revision}


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine is opened for."""

    requests: Sequence[Request]  # all that is wanted, stored or not
    missing: Sequence[Request]  # those of them that will be asked
    resources: Resources  # of the grid
    say: Callable[[str], None]  # tells a person


class LocalEngine(Engine):
    """An engine that works in the driver's own process, or asks somebody elsewhere from there."""

    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> AbstractContextManager[SampleFn]:
        """What answers requests, as long as the context lasts.

        Args:
            teacher: its settings.
            stop: strings at which an answer ends.
            job: what it is opened for.
        """
        raise NotImplementedError


class Sampler(Protocol):
    """A model that is fed and asked what it has finished, by turns, so that it is never idle."""

    def feed(self, requests: Sequence[Request]) -> None:
        """Hand over more to do."""
        ...

    def take(self, seconds: float) -> list[Sample]:
        """Work for about so long, or until all is done; returns what has been finished, each once."""
        ...


class ActorEngine(Engine):
    """An engine that works in Ray actors, replaced when they die; `resources.teacher_*` are theirs."""

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """Load the model; called in the actor.

        Args:
            teacher: its settings.
            stop: strings at which an answer ends.
            resources: of the grid.
            gpus: that the actor has.
        """
        raise NotImplementedError
