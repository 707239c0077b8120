"""Settings of the data set and of who answers: what a sample depends on."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from qcrd.config.options import Options
from qcrd.config.revisions import with_revision
from qcrd.config.section import Count, Fraction, NonNegative, Section
from qcrd.types import Limit


class Own(Section):
    """What the fields of an own data set are (task.name: own); docs/own-data.md has an example.

    Dots go into nested fields: `choices.text`.
    """

    question: str | tuple[str, ...] = "question"
    """Field of the question, or several whose texts follow each other, such as [premise, hypothesis]."""
    label: str = "label"
    """Field of the gold label; for a choice its text, name, number or letter. A list is of right answers,
    any of which counts; the first is trained on."""
    label_after: Annotated[str, Field(min_length=1)] | None = None
    """Mark behind which the label stands in its field (GSM8K: '####'); None takes the whole field."""
    label_before: Annotated[str, Field(min_length=1)] | None = None
    """Mark before which it stands (ASDiv: '(' in '9 (apples)')."""
    label_is: Literal["text", "key", "index0", "index1", "letter"] | None = None
    """How labels name a choice: by text, name in the source, number from 0 or 1, or letter. None decides it
    once for the whole set, and refuses a set that can be read in two ways."""
    kind: Literal["choice", "equation", "text"] = "text"
    """choice and text agree where their normalised texts do, equations where their values do."""
    choices: str | tuple[str, ...] | None = None
    """Only for choice: the field that lists them, or the labels themselves if all questions have the same."""
    keys: str | None = None
    """Field with the source's names of the choices, one for each (ARC: choices.label, which is found)."""
    rationale: str | None = None
    """Field of a gold rationale; reported alone, never trained on. Where it is the label's own field, with
    label_after: what stands before the mark."""
    id: str | None = None
    """Field that tells all questions apart; None numbers them (own-train-0). Recorded answers name it."""
    drop: Fraction = 0.0
    """Largest share of rows that may be left out because they cannot be questions (no label, a choice that is
    empty or there twice); 0 refuses the set for the first of them."""
    train_split: str = "train"
    """The source's name for its training questions; a single file is one split, train."""
    validation_split: str | None = None
    """The same; None takes `validation` where the source has it, else holds out a tenth of the training
    questions, or task.validation of them, drawn by task.seed."""
    test_split: str | None = None
    """The same for `test`."""
    subset: str | None = None
    """Configuration of a Hub data set that has several; of a folder, the folder in it."""
    revision: str | None = None
    """Revision of a Hub data set; None is the newest."""

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
"""A list in YAML and in a record's JSON, which strictly is no tuple."""


class Task(Section):
    """The data set and its splits."""

    name: str = "arithmetic"
    """A registered task: arithmetic, svamp, gsm8k, cqa, anli1, esnli; or `own`, which `own` describes."""
    source: str | None = None
    """Where its data is: a folder, a zip, a file (own), or a Hub id; None takes the task's own default."""
    own: Own = Own()
    """Only for `own`: what the fields of the data are."""
    train: Count | None = None
    """Number of training questions; None takes all (arithmetic: 720)."""
    validation: Count | None = None
    """Number of validation questions; None takes the task's own (svamp: 80; gsm8k: 747; cqa: 975)."""
    test: Count | None = None
    """Number of test questions; None takes all (arithmetic: 200)."""
    prompt: str | None = None
    """File of instructions and worked examples for the teacher; None takes the task's own (tasks/prompts)."""
    seed: int = 0
    """Seed of generation and of splitting; not the cell's seed."""
    uncued: Literal["task", "refuse", "last"] = "task"
    """How a finished answer is read that announces no label ("The answer is", "####", ...; docs/reading.md):
    not at all (refuse), or by its last number or the choice it names last (last). `task` leaves it to the
    task: svamp reads a short statement by its last number, the others refuse. Such labels are counted."""
    thinking: Literal["answer", "thinking", "both"] = "answer"
    """What is the rationale where a reasoning model thinks between marks (`<think>`) before it answers: what
    follows (the thinking where nothing but the label follows), the thinking, or both."""
    cues: Names = ()
    """Further cues, that a plugin registered (docs/reading.md)."""
    normalisers: Names = ()
    """Changes to an answer's text before it is read, that a plugin registered; in this order."""

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
    """Who answers, and how it is sampled: all that changes an answer."""

    engine: str = "vllm"
    """vllm samples a causal model in Ray actors; openai asks a server that speaks OpenAI's protocol;
    transformers samples an encoder-decoder such as FLAN-T5; recorded reads the answers in `path`; or one that
    a plugin registered."""
    model: str = "embedded"
    """A Hub id or folder, or the server's name for it; `embedded` is the small teacher that the project
    trains itself, for the arithmetic task alone."""
    revision: str | None = None
    """Revision of a Hub model; None is the one in `config.revisions`, else the newest. With openai, any word
    that tells apart two models of one name."""
    path: str | None = None
    """Recorded answers (JSON lines: id, samples; or DSS's archive); environment variables are expanded."""
    base_url: str | None = None
    """Address of the server (openai), such as http://127.0.0.1:8000/v1; None is OpenAI's own. A place: it is
    in no key, the model's name says what answers."""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] | None = None
    """Of the weights (vllm, transformers); None is float32 on CPU and the model's own elsewhere."""
    quantization: str | None = None
    """Passed on to vLLM, such as awq, gptq, fp8; None is what the model's files say."""
    temperature: NonNegative = 0.7
    """Sampling temperature (paper, section 4.1)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus mass; 1 keeps the whole distribution."""
    max_tokens: Count = 256
    """Longest answer, in the teacher's tokens."""
    max_len: Count | None = None
    """Longest prompt plus answer in tokens (vllm); None takes the model's."""
    seed: int = 0
    """Seed from which every question and draw gets its own."""
    accuracy: Fraction | None = None
    """Only for `embedded`: sampling accuracy on held-out problems at which its training stops."""
    options: Options = Options()
    """Settings of a plugin's engine, which says what they may be."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        loaded = not isinstance(values, dict) or values.get("engine", "vllm") in ("vllm", "transformers")
        return with_revision(values, "model") if loaded else values  # a server's name is its own

    @property
    def name(self) -> str:
        """What people call it: its model, or the file of recorded answers."""
        return self.path or self.model

    @property
    def embedded(self) -> bool:
        """Whether it is the one that the project trains."""
        return self.engine == "vllm" and self.model == "embedded"

    @property
    def limit(self) -> Limit:
        """Where its answers are cut off."""
        return Limit(self.max_tokens, self.max_len)
