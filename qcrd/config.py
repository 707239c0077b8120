"""What a user can set: the pydantic models of a cell and of a grid.

Every field's docstring says what it is and where its default comes from. Unknown keys are errors.
Nothing below `pipeline` receives a whole `Cell`; stages get the section that they need.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from qcrd.types import Limit

Fraction = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A group of settings; unknown keys, other types, NaN and infinity are refused, values are frozen."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )


class Own(Section):
    """What the fields of an own data set are (task.name: own); docs/own-data.md has an example.

    Dots go into nested fields: `choices.text`.
    """

    question: str | tuple[str, ...] = "question"
    """Field of the question, or several whose texts follow each other, such as [premise, hypothesis]."""
    label: str = "label"
    """Field of the gold label; for a choice its text, its number from 0 or its letter."""
    kind: Literal["choice", "equation", "text"] = "text"
    """choice and text agree where their normalised texts do, equations where their values do."""
    choices: str | tuple[str, ...] | None = None
    """Only for choice: the field that lists them, or the labels themselves if all questions have the same."""
    rationale: str | None = None
    """Field of a gold rationale; reported alone, never trained on."""
    id: str | None = None
    """Field that tells all questions apart; None numbers them (own-train-0). Recorded answers name it."""
    train_split: str = "train"
    """The source's name for its training questions; a single file is one split, train."""
    validation_split: str | None = None
    """The same; None takes `validation` where the source has it, else holds out a tenth of the training
    questions, or task.validation of them, drawn by task.seed."""
    test_split: str | None = None
    """The same for `test`."""
    subset: str | None = None
    """Configuration of a Hub data set that has several."""
    revision: str | None = None
    """Revision of a Hub data set; None is the newest."""

    @field_validator("question", "choices", mode="before")
    @classmethod
    def _fields(cls, value: Any, info: ValidationInfo) -> Any:
        if isinstance(value, list | tuple):
            least = 2 if info.field_name == "choices" else 1
            texts = all(isinstance(item, str) and item for item in value)
            if texts and len(set(value)) == len(value) >= least:
                return tuple(value)
        elif isinstance(value, str) or (value is None and info.field_name == "choices"):
            return value
        allowed = {
            "question": "a field, or a list of fields",
            "choices": "the field that lists them, or a list of at least two different labels as texts (in "
            "quotes where they are yes, no or numbers)",
        }
        raise ValueError(f"value {value!r}; allowed: {allowed[info.field_name]}")

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
        return self


class Task(Section):
    """The data set and its splits."""

    name: str = "arithmetic"
    """A registered task: arithmetic, svamp, cqa, anli1, esnli; or `own`, which `own` describes."""
    source: str | None = None
    """Where its data is: a folder, a zip, a file (own), or a Hub id; None takes the task's own default."""
    own: Own = Own()
    """Only for `own`: what the fields of the data are."""
    train: Count | None = None
    """Number of training questions; None takes all (arithmetic: 720)."""
    validation: Count | None = None
    """Number of validation questions; None takes the task's own (arithmetic, svamp: 80; cqa: 975)."""
    test: Count | None = None
    """Number of test questions; None takes all (arithmetic: 200)."""
    prompt: str | None = None
    """File of instructions and worked examples for the teacher; None takes the task's own (tasks/prompts)."""
    seed: int = 0
    """Seed of generation and of splitting; not the cell's seed."""

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

    engine: Literal["vllm", "openai", "transformers", "recorded"] = "vllm"
    """vllm samples a causal model in Ray actors; openai asks a server that speaks OpenAI's protocol;
    transformers samples an encoder-decoder such as FLAN-T5; recorded reads the answers in `path`."""
    model: str = "embedded"
    """A Hub id or folder, or the server's name for it; `embedded` is the small teacher that the project
    trains itself, for the arithmetic task alone."""
    revision: str | None = None
    """Revision of a Hub model. With openai, any word that tells apart two models of one name."""
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

    @model_validator(mode="after")
    def _paths(self) -> Teacher:
        if self.engine == "recorded" and not self.path:
            raise ValueError("teacher.path is needed where teacher.engine is 'recorded'")
        if self.engine in ("openai", "transformers") and self.model == "embedded":
            raise ValueError(
                f"teacher.model is needed where teacher.engine is {self.engine!r}; 'embedded' is for vllm"
            )
        only = {
            "path": ("recorded",),
            "base_url": ("openai",),
            "dtype": ("vllm", "transformers"),
            "quantization": ("vllm",),
            "max_len": ("vllm",),
        }
        for name, engines in only.items():
            if getattr(self, name) is not None and self.engine not in engines:
                allowed = " or ".join(map(repr, engines))
                raise ValueError(f"teacher.{name} is only read where teacher.engine is {allowed}; remove it")
        return self

    @property
    def embedded(self) -> bool:
        """Whether it is the one that the project trains."""
        return self.engine == "vllm" and self.model == "embedded"

    @property
    def limit(self) -> Limit:
        """Where its answers are cut off."""
        return Limit(self.max_tokens, self.max_len)


class Rationales(Section):
    """Which of the teacher's samples a cell uses, and what it trains on (section 3.2)."""

    m: Count = 5
    """Teacher samples per question that QCRD votes over (section 4.1: 5)."""
    baseline_m: Count = 1
    """The same for finetuning, single_task and dss: 1 is one rationale per question, as published;
    more gives the baselines the vote too, which separates its effect from QCRD's losses."""
    labels: Literal["gold", "teacher"] = "gold"
    """Labels to train and validate on: gold, or the teacher's (Table 3)."""
    denoise: Literal["gold", "majority"] | None = None
    """What a rationale's label must equal to be a positive; None follows `labels`."""

    @model_validator(mode="after")
    def _no_gold(self) -> Rationales:
        if self.labels == "teacher" and self.denoise == "gold":
            raise ValueError(
                "rationales.denoise 'gold' would let gold labels in where rationales.labels is 'teacher'; "
                "allowed: majority"
            )
        return self

    @property
    def chooses(self) -> Literal["gold", "majority"]:
        """`denoise` with its default resolved."""
        return self.denoise or ("gold" if self.labels == "gold" else "majority")


class Architecture(Section):
    """Shape of a randomly initialised T5 (gated GELU, head tied to the embeddings)."""

    d_model: Count = 64
    """Width."""
    d_kv: Count = 8
    """Width of one head."""
    d_ff: Count = 128
    """Width of the feed-forward layer."""
    layers: Count = 2
    """Encoder layers, and as many decoder layers."""
    heads: Count = 8
    """Attention heads."""


class Student(Section):
    """The model to be trained."""

    checkpoint: str | None = None
    """T5-family checkpoint, a folder or a Hub id; None initialises `architecture` at random."""
    revision: str | None = None
    """Revision of a Hub checkpoint."""
    tokenizer: str | None = None
    """Folder or Hub id; None takes the checkpoint's, or without one the task's word-level one, which
    only arithmetic has."""
    architecture: Architecture = Architecture()
    """Only read where there is no checkpoint."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Set on purpose because T5 v1.1 checkpoints were pretrained without any."""
    max_input: Count = 128
    """Longest input in tokens; longer ones are cut, and counted."""
    max_rationale: Count = 96
    """Longest rationale in tokens, in training and in self-play."""
    max_label: Count = 32
    """Longest label in tokens."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is autocast, for GPUs that have it. T5 gives NaN in fp16. Not left to the machine, because it
    changes the result."""


class Training(Section):
    """The optimisation. AdamW with linear decay, as DSS (the paper is silent)."""

    steps: Count = 10_000
    """Optimiser steps (DSS: 10,000)."""
    batch: Count = 32
    """Questions per step (section 4.1: 32)."""
    lr: Positive = 5e-5
    """Peak learning rate (DSS: 5e-5)."""
    warmup: Annotated[int, Field(ge=0)] = 0
    """Steps of linear warm-up before the decay."""
    weight_decay: NonNegative = 0.0
    """Decoupled weight decay."""
    clip: Positive | None = 1.0
    """Largest gradient norm; None never clips."""
    alpha1: NonNegative = 0.5
    """Weight of the label loss (Eq. 8)."""
    alpha2: NonNegative = 0.5
    """Weight of the rationale loss (Eq. 8)."""
    iteration: Count | None = None
    """Steps per iteration, the unit of snapshots, self-play and discriminator updates; None: one epoch."""
    evaluate_every: Count = 250
    """Steps between evaluations (DSS: 250); the last step is always evaluated."""

    @model_validator(mode="after")
    def _warm_before_the_end(self) -> Training:
        if self.warmup >= self.steps:
            raise ValueError(
                f"training.warmup is {self.warmup} but training.steps is {self.steps}; "
                "allowed: less warm-up than steps"
            )
        return self


class Contrastive(Section):
    """The many-to-one contrastive loss (Eqs. 3-7, section 5.1)."""

    scheme: str = "minmax"
    """minmax, maxmin, sampling, mean, wmean, or one that a plugin registered."""
    beta: NonNegative = 0.2
    """Weight of the negatives (section 4.1: 0.2)."""
    delta: NonNegative = 4.0
    """Margin, in nats per token, beyond which a negative is far enough (section 4.1: 4)."""
    negative: Literal["hinge", "printed"] = "hinge"
    """hinge adds beta * max(delta - l, 0); printed subtracts it, as Eq. 3 does literally."""


class SelfPlay(Section):
    """Negatives sampled from the student's own past (section 3.2.2, A.1)."""

    enabled: bool = True
    """Whether there is any; off means k = 0."""
    k: Annotated[int, Field(ge=0)] = 1
    """Rationales per question and iteration (section 4.1: 1)."""
    tau: NonNegative = 1.5
    """Sampling temperature; 0 is greedy (section 4.1: 1.5)."""
    lag: Count = 5
    """How many iterations before the sampled snapshot was taken (section 4.1: 5)."""

    @model_validator(mode="before")
    @classmethod
    def _off_means_none(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("enabled") is False:
            if values.get("k", 0):
                raise ValueError(
                    f"selfplay.k is {values['k']} but selfplay.enabled is false; "
                    "set selfplay.k: 0 or selfplay.enabled: true"
                )
            return {**values, "k": 0}
        return values


class Discriminator(Section):
    """The judge of rationales (sections 3.3.1, A.2)."""

    enabled: bool = True
    """Off: every weight is 1 (no quality judge, Table 4)."""
    checkpoint: str | None = None
    """T5-family checkpoint whose encoder is taken; None initialises `architecture` at random."""
    revision: str | None = None
    """Revision of a Hub checkpoint."""
    architecture: Architecture = Architecture()
    """Only read where there is no checkpoint."""
    loss: Literal["bounded", "printed"] = "bounded"
    """bounded has positives and negatives below the line; printed is Eq. 2, without lower bound."""
    lr: Positive = 1e-4
    """Learning rate of pretraining and, before decay, of the updates."""
    batch: Count = 32
    """Questions per step."""
    pretrain_steps: Annotated[int, Field(ge=0)] = 1000
    """Steps on the teacher's rationales and augmented negatives before training."""
    update_steps: Annotated[int, Field(ge=0)] = 8
    """Steps at each iteration boundary, self-play negatives included; 0 keeps the pretrained one."""
    alpha3: NonNegative = 0.5
    """Weight of the discriminator's loss in the first iteration (Eq. 8)."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor on alpha3 and the learning rate per iteration (section 4.1: 0.9)."""
    augment: Annotated[int, Field(ge=0)] = 2
    """Augmented negatives per positive in pretraining."""
    augmentation: Literal["words", "numbers", "both"] = "both"
    """Replace words by others of their class (the paper's), swap numbers and operators, or both by turns."""


class Cell(Section):
    """One training run: task x method x settings x seed."""

    task: Task = Task()
    teacher: Teacher = Teacher()
    rationales: Rationales = Rationales()
    student: Student = Student()
    method: str = "qcrd"
    training: Training = Training()
    contrastive: Contrastive = Contrastive()
    selfplay: SelfPlay = SelfPlay()
    discriminator: Discriminator = Discriminator()
    seed: Annotated[int, Field(ge=0)] = 0


class Api(Section):
    """How a server is asked (teacher.engine: openai); none of it changes an answer."""

    key: str = "OPENAI_API_KEY"
    """Environment variable with the key; where it is unset none is sent, which local servers accept."""
    concurrency: Count = 16
    """Calls under way at once."""
    requests_per_minute: Count | None = None
    """Most calls begun in a minute; None leaves it to the server's own 429s."""
    timeout: Positive = 120.0
    """Seconds after which a call without an answer is made again."""
    retries: Annotated[int, Field(ge=0)] = 8
    """How often a call that failed for a passing reason (429, 5xx, no connection, timeout) is made again."""
    input_price: NonNegative | None = None
    """Dollars per million prompt tokens, to say the cost before and after."""
    output_price: NonNegative | None = None
    """Dollars per million answer tokens."""


class Resources(Section):
    """What the work may take; never part of a cell's identity."""

    cell_cpus: Positive = 1
    """CPU cores (and threads) of one cell."""
    cell_gpus: NonNegative | None = None
    """GPU share of one cell; None: 0.25 where the cluster has GPUs, else 0."""
    concurrent_cells: Count | None = None
    """Most cells at once; None: as many as fit."""
    retries: Annotated[int, Field(ge=0)] = 2
    """How often a cell that crashed is started again from its last checkpoint."""
    keep_students: bool = True
    """Whether each cell keeps its student (of the chosen step) in the Hugging Face format."""
    teacher_actors: Count = 1
    """Engines (vllm, transformers) side by side."""
    teacher_cpus: Positive = 2
    """CPU cores of one engine."""
    teacher_gpus: NonNegative | None = None
    """GPUs of one engine (also vLLM's tensor parallel size); None: 1 where the cluster has GPUs, else 0."""
    teacher_memory: Annotated[float, Field(gt=0, le=1)] = 0.85
    """Share of the GPU's memory that vLLM may take."""
    teacher_restarts: Annotated[int, Field(ge=0)] = 3
    """How many engines that died are replaced, all in all, before the grid gives up sampling."""
    api: Api = Api()
    """For teacher.engine: openai."""


Seeds = Annotated[int, Field(ge=1)] | list[Annotated[int, Field(ge=0)]]


Settings = dict[str, Any]
"""Dotted paths (or the paper's symbols) with values."""


class Overlay(Section):
    """What a grid has otherwise in one preset; it goes over what the file says for both."""

    base: dict[str, Any] = {}
    """Over the grid's `base`, section by section."""
    sweep: dict[str, list[Any]] = {}
    """More factors, or other values of a factor."""
    product: dict[str, list[Any]] = {}
    """The same for `product`."""
    variants: dict[str, Settings] = {}
    """More variants, or other settings of one."""
    seeds: Seeds | None = None
    """Instead of the grid's."""
    baseline: Settings | None = None
    """Instead of the grid's."""


class Grid(Section):
    """The cells of one YAML file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    """Names the MLflow experiment and the table; lower-case letters, digits, - and _."""
    description: str = ""
    """One line for people."""
    preset: Literal["auto", "embedded", "paper"] = "auto"
    """Defaults beneath `base`: embedded (CPU, offline, minutes), paper (T5 and real sets on GPUs);
    auto takes paper where the cluster has GPUs."""
    base: dict[str, Any] = {}
    """Settings of every cell, as nested sections."""
    sweep: dict[str, list[Any]] = {}
    """Factor (dotted path) to its values: one factor at a time around the base."""
    product: dict[str, list[Any]] = {}
    """Factor to its values: every combination; a sweep then goes around each of them."""
    variants: dict[str, Settings] = {}
    """Name to settings that go together, such as the lines of Table 4; combined with every combination of
    `product`, whose settings go over a variant's."""
    seeds: Seeds = 1
    """How many seeds, or which."""
    presets: dict[Literal["embedded", "paper"], Overlay] = {}
    """What is otherwise in one preset."""
    baseline: Settings = {}
    """Values of product factors (or `variant`): the lines that have them are what the others in their
    section are compared with. A sweep compares with its base by itself."""
    paper: list[Literal["table1", "table2", "table3", "table4", "table5", "table6", "table7"]] = []
    """The paper's tables whose figures stand beside the measured ones."""
    resources: Resources = Resources()

    def within(self, preset: Literal["embedded", "paper"]) -> Grid:
        """The grid as it is in a preset: with its overlay, and without any."""
        over = self.presets.get(preset)
        if over is None:
            return self.model_copy(update={"presets": {}})
        parts = {
            name: {**getattr(self, name), **getattr(over, name)} for name in ("sweep", "product", "variants")
        }
        for name in ("seeds", "baseline"):
            if getattr(over, name) is not None:
                parts[name] = getattr(over, name)
        return self.model_copy(update={**parts, "base": merged(self.base, over.base), "presets": {}})


def merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """`above` over `below`, section by section; neither is changed."""
    both = dict(below)
    for key, value in above.items():
        sections = isinstance(value, dict) and isinstance(both.get(key), dict)
        both[key] = merged(both[key], value) if sections else value
    return both
