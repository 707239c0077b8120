"""Measures what self-play writes at each temperature and top-k, and how much of it is within the margin.

A small student learns from right rationales as in Distilling Step-by-Step, and then writes as in self-play.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from qcrd import config, tasks
from qcrd.config import SelfPlay
from qcrd.config.presets import EMBEDDED
from qcrd.errors import DataError
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients, Objective
from qcrd.rationales.sets import build_set
from qcrd.rationales.vote import vote
from qcrd.samples.requests import requests
from qcrd.seeds import derive, epoch_order
from qcrd.student.base import Student
from qcrd.student.load import load_student
from qcrd.student.selfplay import ended, self_play
from qcrd.student.token_duplicates import Known
from qcrd.tasks.base import Task
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Question, RationaleSet

SEVERAL = 32  # rationales that are scored at once
SAY = 50  # steps between two lines for people


@dataclass(frozen=True, slots=True)
class Written:
    """What self-play wrote with one setting."""

    tau: float
    top_k: int | None  # None is the whole vocabulary
    tokens: float  # mean length, end of sequence included
    nats: float  # mean l under the student that wrote it, per token
    ended: float  # share that the student ended itself
    active: float  # share within the margin, whose hinge pushes
    equal: float  # share with the words of a positive of its question


@dataclass(frozen=True, slots=True)
class Negatives:
    """A student's self-play, setting by setting."""

    data: str
    vocabulary: int
    steps: int
    questions: int  # that were answered
    delta: float
    positive: float  # mean l of what it was trained on, nats per token
    rows: list[Written]

    def plain(self) -> dict:
        """For JSON."""
        return asdict(self)

    def text(self) -> str:
        """For people, and for Markdown."""
        named = [
            "tau",
            "top-k",
            "tokens",
            "l",
            "ended",
            f"active (delta {self.delta:g})",
            "equal to a positive",
        ]
        body = [
            [
                f"{r.tau:g}", "-" if r.tau == 0 else "all" if r.top_k is None else str(r.top_k),
                f"{r.tokens:.1f}", f"{r.nats:.2f}",
                *(f"{100 * share:.0f}%" for share in (r.ended, r.active, r.equal)),
            ]
            for r in self.rows
        ]  # fmt: skip
        widths = [max(map(len, column)) for column in zip(named, *body, strict=True)]
        lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in (named, *body)]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(
            [
                f"{self.data}, vocabulary of {self.vocabulary:,}, step {self.steps}: {self.questions} "
                f"rationales a line; those it was trained on have l = {self.positive:.2f} nats per token",
                "",
                *lines,
            ]
        )


@dataclass(frozen=True, slots=True)
class Data:
    """Questions with right rationales, and the student that learns from them."""

    name: str
    task: Task
    questions: Sequence[Question]
    sets: Sequence[RationaleSet]
    section: config.Student
    lr: float


def generated(questions: int) -> Data:
    """The embedded preset's word problems with their own rationales, student and vocabulary."""
    task = tasks.get("arithmetic")
    found = task.load(config.Task(name="arithmetic", train=questions, validation=1, test=1)).train
    sets = [RationaleSet(q.id, q.label, (_own(q),), ()) for q in found]
    section = config.Student.model_validate(EMBEDDED["student"])
    return Data("generated word problems", task, found, sets, section, EMBEDDED["training"]["lr"])


def _own(question: Question) -> str:
    assert question.rationale is not None  # generated questions come with theirs
    return question.rationale


def recorded(folder: Path, questions: int) -> Data:
    """SVAMP with what PaLM answered and T5's pieces: `dss/datasets.zip` and `tokenizer_t5/` in a folder.

    Raises:
        DataError: where none of the answers is right.
    """
    archive, task = str(folder / "dss" / "datasets.zip"), tasks.get("svamp")
    asked = task.load(config.Task(name="svamp", source=archive)).train
    drawn = RecordedTeacher(archive)(requests(asked, task.prompt, 1, 0))
    answers = {sample.question_id: sample for samples in drawn for sample in samples}
    found, sets = [], []
    for question in asked:
        if question.id not in answers:
            continue
        read = task.parse(answers[question.id].text, question, answers[question.id].finish_reason)
        gold = question.label, task.answer(question.label, question)
        made = build_set(vote(question.id, [read]), [read], "gold", "gold", gold)
        if made.positives:
            found.append(question)
            sets.append(made)
    if not found:
        raise DataError(f"{archive}: none of the answers to SVAMP's questions is right")
    section = config.Student(tokenizer=str(folder / "tokenizer_t5"), max_rationale=128)
    return Data("SVAMP, PaLM's right rationales", task, found[:questions], sets[:questions], section, 5e-3)


def bench_negatives(
    data: Data,
    settings: Iterable[SelfPlay],
    steps: int,
    batch: int,
    answered: int,
    delta: float,
    seed: int,
    say: Callable[[str], None],
) -> Negatives:
    """Train a student, let it write with each of the settings, and measure what it wrote.

    Args:
        data: what it learns from.
        settings: how tokens are drawn.
        steps: of training.
        batch: questions per step.
        answered: questions that it writes a rationale for, the first of those that it was trained on.
        delta: margin, nats per token.
        seed: of the student, the order of the questions, and what is drawn.
        say: what a person is told.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = load_student(data.section, derive(seed, "init"), device)
    _train(student, data, steps, batch, seed, say)
    asked = data.questions[:answered]
    rows = student.prompts("explain", [q.text for q in asked], data.section.max_input)
    limit = data.section.max_rationale
    positives = [student.completions(s.positives, limit) for s in data.sets[: len(asked)]]
    known = Known(student.tokenizer, positives)
    student.eval()
    found = []
    for setting in settings:
        drawn = self_play(student, rows, setting, limit, seed, 0)
        found.append(_measured(student, rows, drawn, setting, known, limit, delta))
        say(f"tau {setting.tau:g}, top-k {setting.top_k or 'all'}: l {found[-1].nats:.2f}")
    nats = [value for value, *_ in _scored(student, rows, positives)]
    return Negatives(
        data.name, len(student.tokenizer), steps, len(asked), delta, sum(nats) / len(nats), found
    )


def _train(
    student: Student, data: Data, steps: int, batch: int, seed: int, say: Callable[[str], None]
) -> None:
    """As the trainer does, without evaluation or checkpoints."""
    objective, step = _objective(student, data, seed), 0
    optimizer = torch.optim.AdamW(student.parameters(), lr=data.lr, weight_decay=0.0, fused=True)
    student.train()
    for epoch in range(steps):
        for numbers in epoch_order(len(data.questions), batch, seed, epoch):
            if step == steps:
                return
            for group in optimizer.param_groups:
                group["lr"] = data.lr * (1 - step / (2 * steps))  # as in the middle of a training
            parts = objective.loss(numbers, step + 1)
            optimizer.zero_grad(set_to_none=True)
            parts["loss"].backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % SAY == 0 or step == steps:
                say(f"step {step} of {steps}: l of the rationales {float(parts['positive']):.2f}")


def _objective(student: Student, data: Data, seed: int) -> Objective:
    method = METHODS["dss"]
    return method.objective(
        Ingredients(
            student=student,
            task=data.task,
            questions=data.questions,
            sets=data.sets,
            training=config.Training(),
            lengths=data.section,
            selection=method.selection(config.Selection()),
            measurer=None,
            contrastive=config.Contrastive(),
            selfplay=config.SelfPlay(k=0),
            edit=config.Edit(),
            discriminator=None,
            discriminator_questions=[],
            seed=seed,
        )
    )


def _measured(
    student: Student,
    asked: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[list[int]]],
    setting: SelfPlay,
    known: Known,
    limit: int,
    delta: float,
) -> Written:
    found = list(_scored(student, asked, drawn))
    if not found:
        raise DataError(f"tau {setting.tau:g}: every rationale is empty; train for more --steps")

    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(found)

    return Written(
        setting.tau,
        setting.top_k,
        mean(len(r) for _, _, r in found),
        mean(nats for nats, *_ in found),
        mean(ended(r, limit) for _, _, r in found),
        mean(nats < delta for nats, *_ in found),
        mean(known.has(i, r) for _, i, r in found),
    )


@torch.no_grad()
def _scored(
    student: Student, asked: Sequence[Sequence[int]], rationales: Sequence[Sequence[list[int]]]
) -> Iterator[tuple[float, int, list[int]]]:
    """l of each rationale, the number of its question, and it."""
    flat = [(i, r) for i, group in enumerate(rationales) for r in group]
    for begin in range(0, len(flat), SEVERAL):
        part = flat[begin : begin + SEVERAL]
        memory = student.read([asked[i] for i, _ in part])
        nats = student.cross_entropy(memory, range(len(part)), [r for _, r in part])
        yield from ((value, i, r) for value, (i, r) in zip(nats.tolist(), part, strict=True))
