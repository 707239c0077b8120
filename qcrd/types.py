"""Dataclasses that the pipeline stages exchange, in the order of the data flow."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qcrd.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Question:
    """One item of a task."""

    id: str  # unique across all splits of the task, stable between runs
    text: str  # input of the student, without its task prefix
    label: str  # gold label in the form that the student generates
    choices: tuple[str, ...] = ()  # the allowed labels, empty for open answers
    rationale: str | None = None  # gold rationale, if the data set has one
    also: tuple[str, ...] = ()  # further correct answers, equivalent to `label`


@dataclass(frozen=True, slots=True)
class Splits:
    """A loaded task: three disjoint lists of questions in a fixed order."""

    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    test: tuple[Question, ...]

    def fingerprint(self) -> str:
        """Fingerprint of the three splits, including the order of questions."""
        return fingerprint(
            {
                name: [
                    [q.id, q.text, q.label, list(q.choices), q.rationale, *([list(q.also)] if q.also else [])]
                    for q in getattr(self, name)
                ]
                for name in ("train", "validation", "test")
            }
        )


@dataclass(frozen=True, slots=True)
class Prompt:
    """The teacher's prompt: instructions, few-shot examples and the question."""

    question: str  # as the teacher reads it, with its choices or premise
    system: str = ""  # instructions, including the format of the answer
    examples: tuple[tuple[str, str], ...] = ()  # (question, answer)
    cues: tuple[str, str] = ("Q: ", "\nA:")  # before a question and before an answer, in `text`

    @property
    def text(self) -> str:
        """The prompt as plain text to be continued, for models without a chat template."""
        question, answer = self.cues
        parts = [self.system] if self.system else []
        parts += [f"{question}{asked}{answer} {answered}" for asked, answered in self.examples]
        return "\n\n".join([*parts, f"{question}{self.question}{answer}"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as chat messages, for a chat template or a chat server."""
        parts = [("system", self.system)] if self.system else []
        for asked, answered in self.examples:
            parts += [("user", asked), ("assistant", answered)]
        return [{"role": role, "content": text} for role, text in [*parts, ("user", self.question)]]


@dataclass(frozen=True, slots=True)
class Limit:
    """Token limits of an answer. An answer that ended below them is the same under any higher limit."""

    max_tokens: int  # of the answer
    max_len: int | None = None  # of prompt and answer together; None: the model's maximum


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw answer of the teacher to one prompt."""

    prompt_id: str  # fingerprint of the prompt's text
    question_id: str
    index: int  # 0-based index of the draw; index i is the same answer for every m > i
    text: str
    finish_reason: str  # "stop" or "length" (truncated) in the store; before, any reason of the engine
    tokens: int  # number of generated tokens; 0 if not counted


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed sample. `label` is None if and only if `reason` is set."""

    rationale: str | None  # the reasoning, without the answer
    label: str | None  # the answer as written, in the task's normal form
    answer: str | None  # canonical answer for comparison: numbers by value, choices by normalised text
    reason: str | None = None  # "no cue", "no label", "not an equation", "not a choice", "truncated"
    tokens: int = 0  # tokens that the teacher generated
    uncued: bool = False  # whether the label was read without a cue (`task.uncued`)


@dataclass(frozen=True, slots=True)
class Vote:
    """Result of the self-consistency vote over one question's samples (section 3.2.1)."""

    question_id: str
    label: str | None  # label of the first sample with the winning answer; None if no sample is parsable
    answer: str | None  # the winning answer, canonical
    votes: int  # samples with the winning answer
    candidates: int  # samples with a parsable label
    tie: bool  # whether another answer has as many votes (the first sampled wins)


@dataclass(frozen=True, slots=True)
class RationaleSet:
    """Training data of one question: its label, positive and negative rationales (section 3.2)."""

    question_id: str
    label: str | None  # the label to train on; None excludes the question from the label loss
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    order: tuple[bool, ...] = ()  # whether each rationale, in sampling order, is positive; (): unknown
    answer: str | None = None  # canonical answer of the positives; None: unknown, or none is parsable
    unread: int = 0  # rationales excluded because their label could not be parsed
    equal: int = 0  # rationales excluded because they have a wrong label but the text of a positive
    # The label that each negative leads to; None: it could not be parsed; (): unknown
    negative_labels: tuple[str | None, ...] = ()

    def drawn(self) -> list[tuple[str, bool]]:
        """Pairs (rationale, is positive) in sampling order; positives first if the order is unknown."""
        sides = {True: iter(self.positives), False: iter(self.negatives)}
        order = self.order or [True] * len(self.positives) + [False] * len(self.negatives)
        return [(next(sides[kind]), kind) for kind in order]


@dataclass(frozen=True, slots=True)
class Prediction:
    """The student's answer to one question of one split."""

    question_id: str
    text: str  # raw output of the student
    label: str  # gold label
    correct: bool


@dataclass(frozen=True, slots=True)
class CellRecord:
    """Record of a finished cell; written last and atomically, so its presence means that the cell is done."""

    id: str
    name: str
    status: str  # "done", or "diverged"
    identity: dict[str, Any]  # input of the id's hash
    settings: dict[str, Any]  # the complete cell configuration
    # percent: test (at the step chosen on validation), validation, test_last, test_best; test_votes (maj@n)
    accuracy: dict[str, float]
    chosen_step: int
    seconds: float  # wall time of training and evaluation, over all attempts
    # vote and parse counts, hinge activity, teacher accuracy
    statistics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    predictions_sha256: str = ""  # checksum of the predictions; "" if there are none, or in older records
    peak_bytes: int | None = None  # peak memory: of the GPU if there is one, else of the process
