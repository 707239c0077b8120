"""Measures self-play at several temperatures and top-k: lengths, losses, and the share of active negatives.

A small student is trained on correct rationales as in Distilling Step-by-Step. Then it generates
rationales as in self-play.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

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

SCORING_BATCH = 32  # rationales
REPORT_EVERY = 50  # steps


@dataclass(frozen=True, slots=True)
class SelfPlayFigures:
    """Means over the rationales of self-play with one setting."""

    tau: float
    top_k: int | None  # None for the whole vocabulary
    tokens: float  # length in tokens, including end of sequence
    nats: float  # loss l under the generating student, nats per token
    ended: float  # share that ends with end of sequence, not at the length limit
    active: float  # share with a loss below the margin
    equal: float  # share with the same tokens as a positive of the question


@dataclass(frozen=True, slots=True)
class Negatives:
    """Results of one student, one row per setting."""

    data: str  # name of the data
    vocabulary: int  # tokens
    steps: int  # of training
    questions: int  # used in self-play
    delta: float  # margin, nats per token
    positive: float  # mean loss l of the training rationales, nats per token
    rows: list[SelfPlayFigures]

    def summary(self) -> dict[str, Any]:
        """All fields, for JSON."""
        return asdict(self)

    def text(self) -> str:
        """A Markdown table."""
        header = [
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
        widths = [max(map(len, column)) for column in zip(header, *body, strict=True)]
        lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in (header, *body)]
        lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
        return "\n".join(
            [
                f"{self.data}, vocabulary of {self.vocabulary:,}, step {self.steps}: {self.questions} "
                f"rationales per line; those it was trained on have l = {self.positive:.2f} nats per token",
                "",
                *lines,
            ]
        )


@dataclass(frozen=True, slots=True)
class Data:
    """Questions with correct rationales, and the configuration of the student that is trained on them."""

    name: str
    task: Task
    questions: Sequence[Question]
    sets: Sequence[RationaleSet]
    section: config.Student
    lr: float


def generated(questions: int) -> Data:
    """Generated word problems with their gold rationales, and the embedded preset's student.

    Args:
        questions: number of training questions.
    """
    task = tasks.get("arithmetic")
    training = task.load(config.Task(name="arithmetic", train=questions, validation=1, test=1)).train
    sets = [RationaleSet(q.id, q.label, (_gold_rationale(q),), ()) for q in training]
    section = config.Student.model_validate(EMBEDDED["student"])
    return Data("generated word problems", task, training, sets, section, EMBEDDED["training"]["lr"])


def _gold_rationale(question: Question) -> str:
    assert question.rationale is not None  # generated questions have one
    return question.rationale


def recorded(folder: Path, questions: int) -> Data:
    """SVAMP with the recorded correct rationales of PaLM, and a student with T5's tokenizer.

    Args:
        folder: folder with `dss/datasets.zip` and `tokenizer_t5/`.
        questions: maximum number of training questions.

    Raises:
        DataError: if none of the recorded answers is correct.
    """
    archive, task = str(folder / "dss" / "datasets.zip"), tasks.get("svamp")
    training = task.load(config.Task(name="svamp", source=archive)).train
    drawn = RecordedTeacher(archive)(requests(training, task.prompt, 1, 0))
    answers = {sample.question_id: sample for samples in drawn for sample in samples}
    answered, sets = [], []
    for question in training:
        if question.id not in answers:
            continue
        parsed = task.parse(answers[question.id].text, question, answers[question.id].finish_reason)
        gold = question.label, task.answer(question.label, question)
        rationale_set = build_set(vote(question.id, [parsed]), [parsed], "gold", "gold", gold)
        if rationale_set.positives:
            answered.append(question)
            sets.append(rationale_set)
    if not answered:
        raise DataError(f"{archive}: none of the recorded answers to SVAMP's questions is correct")
    section = config.Student(tokenizer=str(folder / "tokenizer_t5"), max_rationale=128)
    return Data(
        "SVAMP, PaLM's correct rationales", task, answered[:questions], sets[:questions], section, 5e-3
    )


def bench_negatives(
    data: Data,
    settings: Iterable[SelfPlay],
    steps: int,
    batch: int,
    answered: int,
    delta: float,
    seed: int,
    report: Callable[[str], None],
) -> Negatives:
    """Train a student, run self-play with each of the settings, and measure the rationales.

    Args:
        data: training data and student.
        settings: sampling settings.
        steps: training steps.
        batch: questions per step.
        answered: number of questions for self-play, the first of the training questions.
        delta: margin, nats per token.
        seed: random seed of initialisation, order of questions and sampling.
        report: function that receives progress messages.

    Raises:
        DataError: if all rationales of a setting are empty.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    student = load_student(data.section, derive(seed, "init"), device)
    _train(student, data, steps, batch, seed, report)
    questions = data.questions[:answered]
    prompts = student.prompts("explain", [q.text for q in questions], data.section.max_input)
    limit = data.section.max_rationale
    positives = [student.completions(s.positives, limit) for s in data.sets[: len(questions)]]
    known = Known(student.tokenizer, positives)
    student.eval()
    rows = []
    for setting in settings:
        drawn = self_play(student, prompts, setting, limit, seed, 0)
        rows.append(_measured(student, prompts, drawn, setting, known, limit, delta))
        report(f"tau {setting.tau:g}, top-k {setting.top_k or 'all'}: l {rows[-1].nats:.2f}")
    nats = [value for value, *_ in _scored(student, prompts, positives)]
    return Negatives(
        data.name, len(student.tokenizer), steps, len(questions), delta, sum(nats) / len(nats), rows
    )


def _train(
    student: Student, data: Data, steps: int, batch: int, seed: int, report: Callable[[str], None]
) -> None:
    """Train like `qcrd.training.trainer.Trainer`, without evaluation and checkpoints."""
    objective, step = _objective(student, data, seed), 0
    optimizer = torch.optim.AdamW(student.parameters(), lr=data.lr, weight_decay=0.0, fused=True)
    student.train()
    for epoch in range(steps):
        for numbers in epoch_order(len(data.questions), batch, seed, epoch):
            if step == steps:
                return
            for group in optimizer.param_groups:
                group["lr"] = data.lr * (1 - step / (2 * steps))  # half of the linear decay
            parts = objective.loss(numbers, step + 1)
            optimizer.zero_grad(set_to_none=True)
            parts["loss"].backward()
            torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
            optimizer.step()
            step += 1
            if step % REPORT_EVERY == 0 or step == steps:
                report(f"step {step} of {steps}: l of the rationales {float(parts['positive']):.2f}")


def _objective(student: Student, data: Data, seed: int) -> Objective:
    method = METHODS["dss"]
    objective: Objective = method.objective(
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
    return objective


def _measured(
    student: Student,
    prompts: Sequence[Sequence[int]],
    drawn: Sequence[Sequence[list[int]]],
    setting: SelfPlay,
    known: Known,
    limit: int,
    delta: float,
) -> SelfPlayFigures:
    """Means over the rationales `drawn` for each prompt."""
    scored = list(_scored(student, prompts, drawn))
    if not scored:
        raise DataError(f"tau {setting.tau:g}: every rationale is empty; train for more --steps")

    def mean(values: Iterable[float]) -> float:
        return sum(values) / len(scored)

    return SelfPlayFigures(
        setting.tau,
        setting.top_k,
        mean(len(r) for _, _, r in scored),
        mean(nats for nats, *_ in scored),
        mean(ended(r, limit) for _, _, r in scored),
        mean(nats < delta for nats, *_ in scored),
        mean(known.has(i, r) for _, i, r in scored),
    )


@torch.no_grad()
def _scored(
    student: Student, prompts: Sequence[Sequence[int]], rationales: Sequence[Sequence[list[int]]]
) -> Iterator[tuple[float, int, list[int]]]:
    """For each rationale: its loss l (nats per token), the index of its question, its tokens."""
    flat = [(i, r) for i, group in enumerate(rationales) for r in group]
    for begin in range(0, len(flat), SCORING_BATCH):
        part = flat[begin : begin + SCORING_BATCH]
        memory = student.read([prompts[i] for i, _ in part])
        nats = student.cross_entropy(memory, range(len(part)), [r for _, r in part])
        yield from ((value, i, r) for value, (i, r) in zip(nats.tolist(), part, strict=True))
