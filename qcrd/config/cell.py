"""Settings of one training run."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from qcrd.config.data import Task, Teacher
from qcrd.config.options import Options
from qcrd.config.revisions import with_revision
from qcrd.config.section import Count, Fraction, NonNegative, Positive, Section


class Rationales(Section):
    """Which of the teacher's samples a cell uses, and what it trains on (section 3.2)."""

    m: Count = 5
    """Teacher samples per question that qcrd, morsd and edit vote over and learn from (section 4.1: 5)."""
    baseline_m: Count = 1
    """The same for finetuning, single_task and dss, which do not read `m`: 1 is one rationale per question,
    as published; more gives the baselines the vote too, which separates its effect from QCRD's losses."""
    labels: Literal["gold", "teacher"] = "gold"
    """Labels to train and validate on: gold, or the teacher's (Table 3)."""
    denoise: Literal["gold", "majority"] | None = None
    """What a rationale's label must equal to be a positive; None follows `labels`."""
    unread: Literal["drop", "negative"] = "drop"
    """What a rationale is whose label could not be read: on neither side (it may well be right), or a
    negative, as section 3.2 read to the letter has it. The baselines, which do not read `m`, drop it."""

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


class Selection(Section):
    """Which rationales are learnt from, of all that the samples offer (MoRSD). A setting that is None is the
    method's own: dss takes the first right one, qcrd all right ones, morsd the six right ones, no two of them
    nearly the same, that help the student most."""

    rule: str | None = None
    """all, first (drawn), min_rd, max_rd (least, greatest Rationale Difficulty), random, or one that a plugin
    registered. first, random and difficulty take `n` of those that pass the filters."""
    n: Count | None = None
    """Most rationales per question (MoRSD: 6)."""
    accuracy: bool | None = None
    """Whether only rationales with the right answer are candidates. Without it the wrong ones are candidates
    too, and are no negatives."""
    diversity: bool | None = None
    """Whether of near-duplicates only the first is a candidate."""
    threshold: Fraction = 0.8
    """Jaccard similarity of the word sets above which two are near-duplicates (the summaries are silent; of
    four real answers to SVAMP 3.7 stay)."""
    measured_by: str | None = None
    """T5-family checkpoint, a folder or a Hub id, that measures difficulty once; None is the student itself,
    anew at each iteration's beginning."""
    revision: str | None = None
    """Revision of a Hub checkpoint; None is the one in `config.revisions`, else the newest."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        return with_revision(values, "measured_by")


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
    """Revision of a Hub checkpoint; None is the one in `config.revisions`, else the newest."""
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
    key_weight: Positive = 1.0
    """How much a key token counts in l beside another: those in which a rationale differs from the nearest of
    the other side (EDIT). 1 counts all alike, as the paper."""


class SelfPlay(Section):
    """Negatives sampled from the student's own past (section 3.2.2, A.1)."""

    enabled: bool = True
    """Whether there is any; off means k = 0."""
    k: Annotated[int, Field(ge=0)] = 1
    """Rationales per question and iteration (section 4.1: 1)."""
    tau: NonNegative = 1.5
    """Sampling temperature; 0 is greedy (section 4.1: 1.5)."""
    top_k: Count | None = 50
    """Tokens that are drawn among, the likeliest ones; null is the whole vocabulary. The paper is silent; 50
    is the default of transformers' `generate`. Over all of T5's 32,000 pieces tau 1.5 gives sequences that
    hardly ever end and that lie beyond the paper's margin (docs/results.md, `qcrd bench negatives`)."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Of these, the likeliest that together have this share of their probability; 1 keeps all. With top_k
    null each step sorts the whole vocabulary, which is slow."""
    lag: Count = 5
    """How many iterations before the sampled snapshot was taken (section 4.1: 5)."""

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
    """Off: every weight is 1 (no discriminator, Table 4)."""
    checkpoint: str | None = None
    """T5-family checkpoint whose encoder is taken; None initialises `architecture` at random."""
    revision: str | None = None
    """Revision of a Hub checkpoint; None is the one in `config.revisions`, else the newest."""
    architecture: Architecture = Architecture()
    """Only read where there is no checkpoint."""
    loss: Literal["bounded", "printed", "bce"] = "bounded"
    """bounded has positives and negatives below the line; printed is Eq. 2, without lower bound; bce is
    binary cross entropy, the two kinds of a question alike."""
    lr: Positive = 1e-4
    """Learning rate of pretraining and, before decay, of the updates."""
    batch: Count = 32
    """Questions per step."""
    max_tokens: Count = 8_192
    """Most tokens of a step whose gradient is computed at once: a step of more goes through in chunks of
    whole questions, a question of more by itself. The sum over the chunks is the step's gradient, so this
    bounds memory alone (T5-base in fp32 keeps 1 GiB for 1,000 tokens), except that a checkpoint's dropout
    draws other masks for another cut."""
    held_out: Annotated[float, Field(ge=0, lt=1)] = 0.2
    """Share of the questions with both kinds of teacher's rationales that the discriminator never trains on,
    at most 256 of them. How well it ranks their rationales is reported, and `calibration` reads them."""
    calibration: Literal["held_out", "midpoint"] = "held_out"
    """What a score g weighs, s = sigmoid(a (g - c)). held_out: a and c are fitted to the held-out questions,
    so that s is the chance of being a positive where positives and the teacher's negatives are equally
    common; one that ranks them no better than chance gives 0.5 to all. midpoint: a = 1, c is the running
    middle of the mean scores of positives and of all negatives in training; so too with nothing held out."""
    pretrain_steps: Annotated[int, Field(ge=0)] = 1000
    """Steps on the teacher's rationales and augmented negatives before training."""
    update_steps: Annotated[int, Field(ge=0)] = 8
    """Steps at each iteration boundary, self-play negatives included; 0 keeps the pretrained one."""
    alpha3: NonNegative = 0.5
    """Weight of the discriminator's loss in the first iteration (Eq. 8)."""
    decay: Annotated[float, Field(gt=0, le=1)] = 0.9
    """Factor on alpha3 and the learning rate per iteration (section 4.1: 0.9)."""
    min_factor: Fraction = 0.01
    """Updates end with the first iteration for which decay^iteration is below this: at 0.9 after 44. 0 never
    ends them."""
    augment: Annotated[int, Field(ge=0)] = 2
    """Augmented negatives per positive in pretraining, made anew for each epoch."""
    augmentation: Literal["words", "numbers", "both"] = "both"
    """Replace words by others of their class (the paper's), swap numbers and operators, or both by turns."""
    weights: Literal["judged", "mean_one", "shuffled"] = "judged"
    """judged: s of a chosen positive and 1 - s of a chosen negative (Eqs. 6, 7). Two controls of what the
    discriminator's choice among rationales adds: mean_one divides both by their means over the batch, so
    that they no longer scale the loss or beta; shuffled deals them out at random among the batch's chosen
    rationales of the same kind, so that scale and spread stay and the judgement goes."""

    @model_validator(mode="before")
    @classmethod
    def _known_revision(cls, values: Any) -> Any:
        return with_revision(values, "checkpoint")


class Edit(Section):
    """Learning key steps from dual rationales (method edit; SPEC, section 4)."""

    duals: Literal["mined", "prompted"] = "mined"
    """mined: the closest right and wrong one of the teacher's own samples. prompted: the teacher is
    asked to derail a right one and to mend a wrong one, which takes one that follows instructions."""
    first: Fraction = 0.5
    """Share of the steps that train on the right rationales as a whole, before key tokens alone count."""
    alpha: NonNegative = 1.0
    """Weight of the key tokens of the right rationale."""
    beta: NonNegative = 0.05
    """Weight of the key tokens of the wrong rationale; small."""
    delta: NonNegative = 4.0
    """Margin, in nats per key token, beyond which the wrong ones are unlikely enough: what is lowered without
    a bound diverges (as QCRD's contrastive.delta)."""


class Cell(Section):
    """One training run: task x method x settings x seed."""

    task: Task = Task()
    teacher: Teacher = Teacher()
    rationales: Rationales = Rationales()
    selection: Selection = Selection()
    student: Student = Student()
    method: str = "qcrd"
    options: Options = Options()
    """Settings of a plugin's method, which says what they may be."""
    training: Training = Training()
    contrastive: Contrastive = Contrastive()
    selfplay: SelfPlay = SelfPlay()
    discriminator: Discriminator = Discriminator()
    edit: Edit = Edit()
    seed: Annotated[int, Field(ge=0)] = 0
