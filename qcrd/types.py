"""The dataclasses that the stages hand each other, in the order in which the data flows."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from qcrd.fingerprint import fingerprint


@dataclass(frozen=True, slots=True)
class Question:
    """One item of a task."""

    id: str  # unique over all splits of the task, stable between runs
    text: str  # what the student reads, without its task prefix
    label: str  # gold label in the form the student is to write
    choices: tuple[str, ...] = ()  # the allowed labels, empty for open answers
    rationale: str | None = None  # gold rationale where the data set has one
    also: tuple[str, ...] = ()  # other right answers, any of which counts as `label`


@dataclass(frozen=True, slots=True)
class Splits:
    """A loaded task: three disjoint lists of questions in a fixed order."""

    train: tuple[Question, ...]
    validation: tuple[Question, ...]
    test: tuple[Question, ...]

    def fingerprint(self) -> str:
        """Short id of everything in the three splits, order included."""
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
    """What the teacher is asked: what to do, worked examples, and the question."""

    question: str  # as the teacher reads it, with its choices or premise
    system: str = ""  # what to do and in which form to answer
    examples: tuple[tuple[str, str], ...] = ()  # (question, answer)
    cues: tuple[str, str] = ("Q: ", "\nA:")  # before a question and before an answer, in `text`

    @property
    def text(self) -> str:
        """All of it as one text to be continued, for models without a chat template."""
        question, answer = self.cues
        parts = [self.system] if self.system else []
        parts += [f"{question}{asked}{answer} {answered}" for asked, answered in self.examples]
        return "\n\n".join([*parts, f"{question}{self.question}{answer}"])

    @property
    def messages(self) -> list[dict[str, str]]:
        """The same as a conversation, for a chat template or a chat server."""
        parts = [("system", self.system)] if self.system else []
        for asked, answered in self.examples:
            parts += [("user", asked), ("assistant", answered)]
        return [{"role": role, "content": text} for role, text in [*parts, ("user", self.question)]]


@dataclass(frozen=True, slots=True)
class Limit:
    """Where an answer is cut off. One that ended before it is the same under any higher limit."""

    max_tokens: int  # of the answer
    max_len: int | None = None  # of prompt and answer together; None is the model's own


@dataclass(frozen=True, slots=True)
class Sample:
    """One raw answer of the teacher to one prompt, as drawn."""

    prompt_id: str  # fingerprint of the prompt's text: what the answer answers
    question_id: str
    index: int  # 0-based number of the draw; index i is the same answer for every m > i
    text: str
    finish_reason: str  # in the store "stop" or "length" (cut off); an engine's own word before
    tokens: int  # generated tokens; 0 where they were not counted


@dataclass(frozen=True, slots=True)
class Parsed:
    """A sample taken apart. `label` is None exactly where `reason` says why."""

    rationale: str | None  # the reasoning, without the answer
    label: str | None  # the answer as written, in the task's normal form
    answer: str | None  # canonical answer for comparison: numbers by value, choices by normalised text
    reason: str | None = None  # "no cue", "no label", "not an equation", "not a choice", "truncated"
    tokens: int = 0  # that the teacher generated
    uncued: bool = False  # whether the label was read without a cue (`task.uncued`)


@dataclass(frozen=True, slots=True)
class Vote:
    """Outcome of self-consistency over one question's samples (section 3.2.1)."""

    question_id: str
    label: str | None  # label of the winner as first sampled; None without a parsable sample
    answer: str | None  # its canonical answer
    votes: int  # samples that gave the winning answer
    candidates: int  # samples with a parsable label
    tie: bool  # whether another answer had as many votes (the first sampled wins)


@dataclass(frozen=True, slots=True)
class RationaleSet:
    """What one question offers for training: its label and its positives and negatives (section 3.2)."""

    question_id: str
    label: str | None  # the label to train on; None drops the question from the label loss
    positives: tuple[str, ...]
    negatives: tuple[str, ...]
    order: tuple[
        bool, ...
    ] = ()  # of each rationale as it was drawn whether it is a positive; () is not known
    answer: str | None = None  # that positives have, canonical; None is not known, or nothing was parsable
    unread: int = 0  # rationales that are on neither side because their label could not be read
    equal: int = 0  # and because they have another label and yet the words, or tokens, of a positive

    def drawn(self) -> list[tuple[str, bool]]:
        """Each rationale with whether it is a positive, as drawn; positives first where that is not known."""
        sides = {True: iter(self.positives), False: iter(self.negatives)}
        order = self.order or [True] * len(self.positives) + [False] * len(self.negatives)
        return [(next(sides[kind]), kind) for kind in order]


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the student answered to one question of one split."""

    question_id: str
    text: str  # the student's raw output
    label: str  # gold label
    correct: bool


@dataclass(frozen=True, slots=True)
class CellRecord:
    """What is kept of a finished cell; written last and atomically, so its presence means done."""

    id: str
    name: str
    status: str  # "done", or "diverged"
    identity: dict[str, Any]  # everything the id was made from
    settings: dict[str, Any]  # the whole cell configuration
    accuracy: dict[
        str, float
    ]  # percent: test (at the step chosen on validation), validation, test_last, test_best
    chosen_step: int
    seconds: float  # wall time of training and evaluation, over all attempts
    # vote and parse counts, hinge activity, teacher accuracy
    statistics: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    predictions_sha256: str = ""  # of the file with the answers; "" where there is none, or of earlier times
    peak_bytes: int | None = None  # most memory at once: of the GPU, else of the process
