"""Settings of one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from qcrd.config.data import Names, Task, Teacher
from qcrd.config.options import Options
from qcrd.config.revisions import with_revision
from qcrd.config.section import Count, Fraction, NonNegative, Positive, Section


class Rationales(Section):
    """How many teacher samples a cell uses, and how it derives its training data from them (section 3.2)."""

    m: Count = 5
    """Teacher samples per question for qcrd, morsd and edit (section 4.1: 5)."""
    baseline_m: Count = 1
    """Teacher samples per question for finetuning, single_task and dss, which do not read `m`. 1 is the
    published setting; more gives the baselines the vote too, which separates its effect from QCRD's
    losses."""
    labels: Literal["gold", "teacher"] = "gold"
    """Labels to train and validate on: gold, or the teacher's (Table 3)."""
    denoise: Literal["gold", "majority"] | None = None
    """What a rationale's label must equal for the rationale to be positive; None follows `labels`."""
    unread: Literal["drop", "negative"] = "drop"
    """What to do with a rationale whose label could not be parsed: drop it, since it may be correct, or use
    it as a negative, which is the literal reading of section 3.2. The baselines, which do not read `m`, drop
    it."""

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
        """`denoise` with its default filled in."""
        return self.denoise or ("gold" if self.labels == "gold" else "majority")


class Selection(Section):
    """Which rationales to train on (MoRSD). A setting that is None uses the method's default: dss selects the
    first correct rationale, qcrd all correct ones, morsd the six correct ones with the best difficulty and
    without near-duplicates."""

    rule: str | None = None
    """all, first (drawn), min_rd, max_rd (lowest, highest Rationale Difficulty), random, or a rule of a
    plugin. All rules but `all` select `n` of the rationales that pass the filters."""
    n: Count | None = None
    """Maximum number of rationales per question (MoRSD: 6)."""
    accuracy: bool | None = None
    """Whether only rationales with the correct answer are candidates. If false, wrong ones are candidates as
    well and are not used as negatives."""
    diversity: bool | None = None
    """Whether to keep only the first of near-duplicate rationales."""
    threshold: Fraction = 0.8
    """Jaccard similarity of word sets above which two rationales are near-duplicates (not given in the
    summaries of the paper; keeps 3.7 of four real answers to SVAMP)."""
    measured_by: str | None = None
    """T5-family checkpoint, a folder or a Hub id, that measures difficulty once; None: the student measures
    it at the beginning of each iteration."""
    revision: str | None = None
    """Revision of a Hub checkpoint; None: the one in `config.revisions`, else the newest."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        return with_revision(values, "measured_by")


class Architecture(Section):
    """Architecture of a randomly initialised model, its output head tied to the embeddings."""

    family: str = "t5"
    """t5 (gated GELU), or a decoder-only family by its `model_type` in transformers: llama, qwen2, qwen3,
    smollm3, gemma, mistral, phi, gpt_neox, ..."""
    d_model: Count = 64
    """Hidden size."""
    d_kv: Count = 8
    """Size of one attention head."""
    d_ff: Count = 128
    """Size of the feed-forward layer."""
    layers: Count = 2
    """Number of encoder layers, and of decoder layers."""
    heads: Count = 8
    """Number of attention heads."""
    kv_heads: Count | None = None
    """Number of heads of keys and values in a decoder-only model; None: as many as `heads`."""

    @model_validator(mode="after")
    def _heads_share_evenly(self) -> Architecture:
        if self.kv_heads is not None and self.family == "t5":
            raise ValueError(f"kv_heads is {self.kv_heads}, but a t5 has none; leave it out")
        if self.kv_heads is not None and self.heads % self.kv_heads:
            raise ValueError(f"kv_heads is {self.kv_heads}; allowed: what divides the {self.heads} heads")
        return self


class Adapter(Section):
    """A low-rank adapter (LoRA) of a decoder-only student; the base weights stay as they are."""

    r: Count = 16
    """Rank."""
    alpha: Positive = 32.0
    """The adapter's output is multiplied by alpha / r."""
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Dropout of the adapter's input. A step chooses among rationales under the same masks with which it
    differentiates the chosen ones."""
    targets: Literal["all-linear"] | Names = "all-linear"
    """Names of the linear modules that get an adapter, such as [q_proj, v_proj]; all-linear: all but the
    head."""


class Student(Section):
    """The model to be trained."""

    checkpoint: str | None = None
    """Checkpoint of a T5 or of a decoder-only model: a folder, a Hub id, or smollm2-135m from a Python
    package (docs/students.md); None initialises `architecture` at random."""
    revision: str | None = None
    """Revision of a Hub checkpoint; None is the one in `config.revisions`, else the newest."""
    adapter: Adapter | None = None
    """Trains a low-rank adapter instead of all weights; decoder-only students only."""
    prompt: str = "plain"
    """What a decoder-only student reads. plain: the question and a cue word; chat: the checkpoint's own chat
    template; else a text file with {question} and, after it, {cue}."""
    targets: Literal["multitask", "sequence"] = "multitask"
    """What methods that train on rationales teach the student to write. multitask: the label to one prompt
    and a rationale to another (DSS); sequence: rationale, cue and label in one text, from which evaluation
    reads the label. finetuning and dss are multitask and single_task is sequence by definition."""
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
    unwritable: Fraction = 0.05
    """Largest share of questions whose label the tokenizer cannot write, or max_label cuts, with which a run
    begins; a student cannot be right about them."""
    precision: Literal["fp32", "bf16"] = "fp32"
    """bf16 is autocast, for GPUs that have it. T5 gives NaN in fp16. Not left to the machine, because it
    changes the result."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        return with_revision(values, "checkpoint")


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
    """Optimiser steps per iteration: snapshots, self-play and discriminator updates happen once per
    iteration. None: one epoch."""
    evaluate_every: Count = 250
    """Steps between evaluations (DSS: 250); the last step is always evaluated."""
    max_tokens: Count = 8_192
    """Maximum number of tokens per forward and backward pass of a decoder-only student. A larger step is
    split into several passes whose gradients are summed, so this only bounds memory."""
    gradient_checkpointing: bool = False
    """Whether a decoder-only student recomputes activations in the backward pass, which saves memory and
    costs about a third more time."""

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
    """minmax, maxmin, sampling, mean, wmean, or a scheme of a plugin."""
    beta: NonNegative = 0.2
    """Weight of the negatives (section 4.1: 0.2)."""
    delta: NonNegative = 4.0
    """Margin of the hinge, in nats per token (section 4.1: 4)."""
    negative: Literal["hinge", "printed"] = "hinge"
    """hinge adds beta * max(delta - l, 0); printed subtracts it, as Eq. 3 is printed."""
    key_weight: Positive = 1.0
    """Weight of a key token in l; other tokens have weight 1. Key tokens are those in which a rationale
    differs from the nearest rationale of the other side (EDIT). 1 weights all tokens equally, as in the
    paper."""


class SelfPlay(Section):
    """Self-play: negatives sampled from earlier snapshots of the student (section 3.2.2, A.1)."""

    enabled: bool = True
    """Whether to use self-play; false means k = 0."""
    k: Annotated[int, Field(ge=0)] = 1
    """Rationales to sample per question and iteration (section 4.1: 1)."""
    tau: NonNegative = 1.5
    """Sampling temperature; 0 is greedy (section 4.1: 1.5)."""
    top_k: Count | None = 50
    """Number of most likely tokens to sample from; null: the whole vocabulary. Not given in the paper; 50 is
    the default of transformers' `generate`. With all 32,000 tokens of T5, tau 1.5 gives sequences that hardly
    ever end and that lie beyond the paper's margin (docs/results.md, `qcrd bench negatives`)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling among the top_k tokens; 1 keeps all. With top_k null each step sorts the whole
    vocabulary, which is slow."""
    lag: Count = 5
    """Age of the sampled snapshot in iterations (section 4.1: 5)."""

    @field_validator("top_k", mode="before")
    @classmethod
    def _zero_is_not_all(cls, value: Any) -> Any:
        if value == 0 and not isinstance(value, bool):
            raise ValueError("value 0; allowed: whole numbers from 1 up, or null for the whole vocabulary")
        return value

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
    """The discriminator, which scores rationales (sections 3.3.1, A.2)."""

    enabled: bool = True
    """Whether to use a discriminator; without one every weight is 1 (Table 4)."""
    checkpoint: str | None = None
    """Checkpoint of a T5, whose encoder is used, or of a decoder-only model, used without its head: a folder,
    a Hub id, or smollm2-135m. It reads texts with its own tokenizer. None initialises `architecture` at
    random, with the student's tokenizer."""
    revision: str | None = None
    """Revision of a Hub checkpoint; None is the one in `config.revisions`, else the newest."""
    architecture: Architecture = Architecture()
    """Only read where there is no checkpoint; any family, whatever the student's."""
    loss: Literal["bounded", "printed", "bce"] = "bounded"
    """bounded: denominator over positives and negatives; printed: Eq. 2, which has no lower bound; bce:
    binary cross entropy in which positives and negatives of a question have equal weight."""
    lr: Positive = 1e-4
    """Learning rate of pretraining and, before decay, of the updates."""
    batch: Count = 32
    """Questions per step."""
    max_tokens: Count = 8_192
    """Maximum number of tokens per forward and backward pass. A larger step is split into chunks of whole
    questions; a question with more tokens is a chunk by itself. Gradients are summed over chunks, so this
    only bounds memory (T5-base in fp32: 1 GiB per 1,000 tokens), except that dropout of a checkpoint draws
    different masks for different chunks."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the questions with both positives and negatives of the teacher to hold out from the
    discriminator's training, at most 256. They are used to report ranking quality and for `calibration`."""
    calibration: Literal["held_out", "midpoint"] = "held_out"
    """How a score g becomes a weight s = sigmoid(a (g - c)). held_out: a and c are fitted on the held-out
    questions, so that s is the probability of being positive if positives and the teacher's negatives are
    equally frequent; a discriminator no better than chance gives 0.5 to all. midpoint: a = 1, and c is the
    running midpoint of the mean scores of positives and negatives in training; also used if nothing is held
    out."""
    pretrain_steps: Annotated[int, Field(ge=0)] = 1000
    """Steps on the teacher's rationales and augmented negatives before training."""
    update_steps: Annotated[int, Field(ge=0)] = 8
    """Update steps at each iteration boundary, self-play negatives included; 0 keeps the pretrained
    weights."""
    alpha3: NonNegative = 0.5
    """Weight of the discriminator's loss in the first iteration (Eq. 8)."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor on alpha3 and the learning rate per iteration (section 4.1: 0.9)."""
    min_factor: Fraction = 0.01
    """Updates stop at the first iteration with decay^iteration below this value (decay 0.9: after 44). 0
    never stops them."""
    augment: Annotated[int, Field(ge=0)] = 2
    """Augmented negatives per positive in pretraining, generated anew in each epoch."""
    augmentation: Literal["words", "numbers", "both"] = "both"
    """words: replace words by others of their class (the paper's); numbers: swap numbers and operators; both:
    one of the two at random."""
    weights: Literal["judged", "mean_one", "shuffled"] = "judged"
    """judged: weight s for a chosen positive, 1 - s for a chosen negative (Eqs. 6, 7). Two controls isolate
    the effect of the discriminator's ranking: mean_one divides the weights of positives and of negatives by
    their batch means, so that they do not scale the loss or beta; shuffled permutes the weights within the
    batch's chosen positives and within its negatives, which keeps their scale and spread."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        return with_revision(values, "checkpoint")


class Edit(Section):
    """Learning key steps from dual rationales (method edit; SPEC, section 4)."""

    duals: Literal["mined", "prompted"] = "mined"
    """mined: the closest pair of a correct and a wrong rationale among the teacher's samples. prompted: the
    teacher is asked to corrupt a correct rationale and to correct a wrong one, which requires an
    instruction-following teacher."""
    first: Fraction = 0.5
    """Share of the steps that train on complete correct rationales; later steps train on key tokens only."""
    alpha: NonNegative = 1.0
    """Weight of the key tokens of the correct rationale."""
    beta: NonNegative = 0.05
    """Weight of the key tokens of the wrong rationale; should be small."""
    delta: NonNegative = 4.0
    """Margin, in nats per key token, above which wrong key tokens are not pushed further: an unbounded loss
    diverges (as QCRD's contrastive.delta)."""


class Evaluation(Section):
    """How the student is tested, in addition to greedy decoding."""

    votes: Annotated[int, Field(ge=2)] | None = None
    """Number n of answers to sample per test question; their majority is a second accuracy, maj@n
    (self-consistency). None: only greedy decoding, which also chooses the step."""
    temperature: Positive = 0.7
    """Sampling temperature of the votes."""
    top_k: Count | None = None
    """Number of most likely tokens to sample from; null: the whole vocabulary."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Nucleus sampling; 1 keeps all tokens."""


class Cell(Section):
    """Configuration of one training run: task, method, settings and seed."""

    task: Task = Task()
    teacher: Teacher = Teacher()
    rationales: Rationales = Rationales()
    selection: Selection = Selection()
    student: Student = Student()
    method: str = "qcrd"
    """finetuning, single_task, dss, qcrd, morsd, edit, or a method of a plugin (docs/methods.md)."""
    options: Options = Options()
    """Settings of a plugin's method, validated by the plugin."""
    training: Training = Training()
    contrastive: Contrastive = Contrastive()
    selfplay: SelfPlay = SelfPlay()
    discriminator: Discriminator = Discriminator()
    edit: Edit = Edit()
    evaluation: Evaluation = Evaluation()
    seed: Annotated[int, Field(ge=0)] = 0
    """Seed of initialisation, batches, self-play and augmentation; a grid sets it by its `seeds`."""
