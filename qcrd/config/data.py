"""Settings of the data set and of the teacher, which determine the samples."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qcrd.config.options import Options
from qcrd.config.revisions import with_revision
from qcrd.config.section import Count, Fraction, NonNegative, Section
from qcrd.types import Limit


class Own(Section):
    """Fields of a custom data set (task.name: own); docs/own-data.md has an example.

    Dots access nested fields: `choices.text`.
    """

    question: str | tuple[str, ...] = "question"
    """Field of the question, or several fields to concatenate, such as [premise, hypothesis]."""
    label: str = "label"
    """Field of the gold label; for a choice its text, name, number or letter. A list contains alternative
    correct answers, of which the first is trained on."""
    label_after: Annotated[str, Field(min_length=1)] | None = None
    """Marker after which the label starts in its field (GSM8K: '####'); None: the whole field."""
    label_before: Annotated[str, Field(min_length=1)] | None = None
    """Marker before which the label ends (ASDiv: '(' in '9 (apples)')."""
    label_is: Literal["text", "key", "index0", "index1", "letter"] | None = None
    """How labels refer to a choice: by text, name in the source, 0-based or 1-based number, or letter. None
    detects it for the whole data set, and raises an error if it is ambiguous."""
    kind: Literal["choice", "equation", "text"] = "text"
    """Kind of label. Choices and texts are compared by normalised text, equations by value."""
    choices: str | tuple[str, ...] | None = None
    """Only for choice: the field that lists the choices, or the labels if all questions have the same
    ones."""
    keys: str | None = None
    """Field with the source's names of the choices, one per choice (ARC: choices.label, which is
    detected)."""
    rationale: str | None = None
    """Field of a gold rationale, which is reported but not trained on. If it is the label's field and
    label_after is set: the text before the marker."""
    id: str | None = None
    """Field with unique question ids, to which recorded answers refer; None numbers them (own-train-0)."""
    drop: Fraction = 0.0
    """Maximum share of invalid rows to skip (no label, an empty or duplicate choice); with 0 the first
    invalid row is an error."""
    train_split: str = "train"
    """The source's name of the training split; a single file is one split, train."""
    validation_split: str | None = None
    """The source's name of the validation split; None uses `validation` if the source has it, else holds out
    a tenth of the training questions, or task.validation of them, drawn by task.seed."""
    test_split: str | None = None
    """The same for `test`."""
    subset: str | None = None
    """Configuration of a Hub data set that has several; for a folder, a subfolder."""
    revision: str | None = None
    """Revision of a Hub data set; None: the newest."""

    @field_validator("question", "choices", mode="before")
    @classmethod
    def _fields(cls, value: Any, info: ValidationInfo) -> Any:
        choices = info.field_name == "choices"
        if isinstance(value, list | tuple):
            least = 2 if choices else 1
            texts = all(isinstance(item, str) and item for item in value)
            if texts and len(set(value)) == len(value) >= least:
                return tuple(value)
        elif isinstance(value, str) or (value is None and choices):
            return value
        allowed = (
            "the field that lists them, or a list of at least two different labels as texts (in quotes where "
            "they are yes, no or numbers)"
            if choices
            else "a field, or a list of fields"
        )
        raise ValueError(f"value {value!r}; allowed: {allowed}")

    @model_validator(mode="after")
    def _choices_of_a_choice(self) -> Own:
        if self.kind == "choice" and self.choices is None:
            raise ValueError(
                "task.own.choices is needed where task.own.kind is 'choice': the field that lists them, or a "
                "list of labels"
            )
        if self.kind != "choice" and self.choices is not None:
            raise ValueError(
                f"task.own.choices is only read where task.own.kind is 'choice', here it is {self.kind!r}; "
                "remove one of them"
            )
        if self.kind != "choice" and self.label_is is not None:
            raise ValueError(
                f"task.own.label_is is only read where task.own.kind is 'choice', here it is {self.kind!r}; "
                "remove one of them"
            )
        if self.keys is not None and not isinstance(self.choices, str):
            raise ValueError(
                "task.own.keys is only read where task.own.choices is the field that lists them; remove it"
            )
        if self.label_is == "key" and not isinstance(self.choices, str):
            raise ValueError(
                "task.own.label_is 'key' needs task.own.choices to be a field; allowed: text, index0, "
                "index1, letter"
            )
        return self


Names = Annotated[tuple[str, ...], Field(strict=False)]
"""A tuple that is also accepted as a list, as in YAML and in a record's JSON."""


class Task(Section):
    """The data set and its splits."""

    name: str = "arithmetic"
    """A registered task: arithmetic, svamp, gsm8k, cqa, anli1, esnli; or `own`, a custom data set."""
    source: str | None = None
    """Location of the data: a folder, a zip, a file (own), or a Hub id; None: the task's default."""
    own: Own = Own()
    """Only for `own`: the fields of the data set."""
    train: Count | None = None
    """Number of training questions; None: all (arithmetic: 720)."""
    validation: Count | None = None
    """Number of validation questions; None: the task's default (svamp: 80; gsm8k: 747; cqa: 975)."""
    test: Count | None = None
    """Number of test questions; None: all (arithmetic: 200)."""
    prompt: str | None = None
    """File with instructions and few-shot examples for the teacher; None: the task's (tasks/prompts)."""
    seed: int = 0
    """Seed for generating and splitting the data; independent of the cell's seed."""
    uncued: Literal["task", "refuse", "last"] = "task"
    """How to parse a complete answer without a cue ("The answer is", "####", ...; docs/reading.md). refuse:
    no label; last: its last number or the last choice that it names; task: the task's rule, by which svamp
    takes the last number of a short statement and the others refuse. Such labels are counted."""
    thinking: Literal["answer", "thinking", "both"] = "answer"
    """Which text of a reasoning model is the rationale: the answer after its thinking (`<think>`; the
    thinking if only the label follows), the thinking, or both."""
    cues: Names = ()
    """Additional cues of plugins (docs/reading.md)."""
    normalisers: Names = ()
    """Text transformations of plugins, applied in this order before an answer is parsed."""

    @model_validator(mode="after")
    def _described(self) -> Task:
        if self.name == "own" and self.source is None:
            raise ValueError("task.source is needed where task.name is 'own': a file, a folder or a Hub id")
        if self.name != "own" and self.own != Own():
            raise ValueError(
                f"task.own is only read where task.name is 'own', here it is {self.name!r}; change the name, "
                "or remove task.own"
            )
        return self


class Teacher(Section):
    """The teacher and its sampling: all settings that affect its answers."""

    engine: str = "vllm"
    """vllm samples a causal model in Ray actors; openai asks a server that speaks OpenAI's protocol;
    transformers samples an encoder-decoder such as FLAN-T5; recorded reads the answers in `path`; or an
    engine of a plugin."""
    model: str = "embedded"
    """A Hub id, a folder, or a server's model name; `embedded` is the small teacher that qcrd trains itself,
    only for the arithmetic task."""
    revision: str | None = None
    """Revision of a Hub model; None: the one in `config.revisions`, else the newest. With openai, any string
    that distinguishes two models of the same name."""
    path: str | None = None
    """Recorded answers (JSON lines: id, samples; or DSS's archive); environment variables are expanded."""
    base_url: str | None = None
    """Address of the server (openai), such as http://127.0.0.1:8000/v1; None: OpenAI's. Not part of any id:
    the model's name identifies the teacher."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    """Type of the weights (vllm, transformers); None: float32 on CPUs, the model's own type elsewhere."""
    quantization: str | None = None
    """vLLM's quantization, such as awq, gptq, fp8; None: as in the model's files."""
    temperature: NonNegative = 0.7
    """Sampling temperature (paper, section 4.1)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling; 1 keeps the whole distribution."""
    max_tokens: Count = 256
    """Maximum length of an answer, in the teacher's tokens."""
    max_len: Count | None = None
    """Maximum length of prompt plus answer in tokens (vllm); None: the model's."""
    seed: int = 0
    """Seed from which the seed of every draw is derived."""
    accuracy: Fraction | None = None
    """Only for `embedded`: accuracy of samples on held-out problems at which its training stops."""
    options: Options = Options()
    """Settings of a plugin's engine, validated by the plugin."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        loaded = not isinstance(values, dict) or values.get("engine", "vllm") in ("vllm", "transformers")
        return with_revision(values, "model") if loaded else values  # a server has its own model names

    @property
    def name(self) -> str:
        """Display name: the model, or the file of recorded answers."""
        return self.path or self.model

    @property
    def embedded(self) -> bool:
        """Whether it is the embedded teacher, which qcrd trains."""
        return self.engine == "vllm" and self.model == "embedded"

    @property
    def limit(self) -> Limit:
        """Token limits of its answers."""
        return Limit(self.max_tokens, self.max_len)
