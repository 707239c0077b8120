"""One cell from its settings to its record, without Ray or MLflow: all it reads is in the home folder."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Literal

import torch

from qcrd.cell.answers import sample_store
from qcrd.cell.discriminator import COMMIT, discriminator_trainer, pretrained_discriminator
from qcrd.cell.preparation import Prepared, prepare
from qcrd.cell.record import Outcome, record_once
from qcrd.cell.resolved import ResolvedCell
from qcrd.discriminator.questions import DiscriminatorQuestion
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.errors import Diverged
from qcrd.hub.token_ids import token_counts
from qcrd.objectives.base import Ingredients
from qcrd.seeds import derive
from qcrd.storage import tensors
from qcrd.storage.files import write_json
from qcrd.storage.home import PREDICTIONS, STUDENT, Home
from qcrd.storage.journal import Journal
from qcrd.student.base import Student
from qcrd.student.load import load_student
from qcrd.student.token_duplicates import apart
from qcrd.training import memory
from qcrd.training.evaluate import Evaluator, accuracy
from qcrd.training.trainer import WEIGHTS, Progress, Trainer
from qcrd.training.usage import Usage
from qcrd.training.voting import majority
from qcrd.types import CellRecord

DIVERGED = "diverged.json"  # step and questions of the batch whose loss was no number
BEARABLE = 1.0  # percent of texts that may be cut without a warning

logger = logging.getLogger(__name__)


def run_cell(
    cell: ResolvedCell,
    name: str,
    home: Home,
    report: Callable[[Progress], None] = lambda progress: None,
    keep_student: bool = True,
) -> CellRecord:
    """Train and evaluate one cell, going on from its checkpoint; a finished one is only looked up.

    Args:
        cell: what is trained.
        name: for people.
        home: where its samples are and its results go.
        report: called every few steps.
        keep_student: whether to keep the student of the chosen step as a Hugging Face folder.

    Returns:
        The record: status "done", or "diverged" where something stopped being a number.
    """

    def work(folder: Path, journal: Journal) -> Outcome:
        return _train(cell, folder, home, journal, report, keep_student)

    return record_once(cell, name, home, work)


def _train(
    cell: ResolvedCell,
    folder: Path,
    home: Home,
    journal: Journal,
    report: Callable[[Progress], None],
    keep_student: bool,
) -> Outcome:
    settings, method, device, commits = cell.settings, cell.method, _device(), _commits(cell, home)
    memory.reset_peak(device)
    prepared = prepare(cell, home)
    student = load_student(
        settings.student,
        derive(settings.seed, "init"),
        device,
        training=settings.training,
        cue=cell.task.cue,
    )
    discriminator: DiscriminatorTrainer | None = None
    seen: list[DiscriminatorQuestion] = []
    sets = apart(student.tokenizer, prepared.sets, settings.student.max_rationale)
    statistics = {**prepared.statistics, **_length_statistics(cell, prepared, student)}
    statistics["rationales/equal_tokens"] = sum(s.equal for s in sets) - sum(s.equal for s in prepared.sets)
    if cell.needs_discriminator:
        model, figures = pretrained_discriminator(cell, home, prepared)
        commits["discriminator"] = figures.pop(COMMIT, None)
        own = sets
        if model.tokenizer is not student.tokenizer:
            own = apart(model.tokenizer, prepared.sets, settings.student.max_rationale)
        discriminator, seen = discriminator_trainer(cell, prepared, own, model)
        statistics |= {f"discriminator/pretrain_{k}": v for k, v in figures.items()}
    selection = method.selection(settings.selection)
    objective = method.objective(
        Ingredients(
            student=student,
            task=cell.task,
            questions=prepared.questions,
            sets=sets,
            training=settings.training,
            lengths=settings.student,
            selection=selection,
            measurer=partial(measurer, cell) if selection.measured_by is not None else None,
            contrastive=settings.contrastive,
            selfplay=settings.selfplay,
            edit=settings.edit,
            pairs=prepared.pairs,
            discriminator=discriminator,
            discriminator_questions=seen,
            seed=settings.seed,
            written=method.written(settings.student),
            options=method.settings(settings),
        )
    )
    statistics |= objective.statistics
    evaluators = {
        split: Evaluator(student, cell.task, method, questions, settings.student)
        for split, questions in (("validation", prepared.validation), ("test", prepared.test))
    }
    ids = [q.id for q in prepared.questions]
    trainer = Trainer(
        student,
        objective,
        ids,
        settings.training,
        settings.seed,
        evaluators,
        journal,
        folder,
        report,
        statistics,
        Usage(device),
    )
    status: Literal["done", "diverged"] = "done"
    message = ""
    try:
        progress = trainer.run()
    except Diverged as error:
        progress, status, message = trainer.progress, "diverged", str(error)
        write_json(folder / DIVERGED, {"step": error.step, "questions": error.question_ids})
        journal.artifact(folder / DIVERGED)
    if status == "done":
        if keep_student or settings.evaluation.votes is not None:
            student.set_weights(tensors.load(folder / WEIGHTS)[0])
        if keep_student:
            student.save(folder / STUDENT)
        if settings.evaluation.votes is not None:
            voted = majority(evaluators["test"], settings.evaluation, settings.seed)
            progress.accuracy["test_votes"] = accuracy(voted.predictions)
            statistics |= voted.statistics
            votes = {"accuracy/test_votes": progress.accuracy["test_votes"], **voted.statistics}
            journal.metrics(progress.step, **votes)
        journal.artifact(folder / PREDICTIONS)
    commits["student"] = student.commit
    versions = _versions(device) | {f"{what}_commit": at for what, at in commits.items() if at is not None}
    return Outcome(
        status=status,
        step=progress.step,
        accuracy=progress.accuracy,
        chosen_step=progress.chosen_step,
        seconds=trainer.spent,
        statistics=statistics | objective.figures() | {"cost/student_tflop": progress.flops / 1e12},
        versions=versions,
        message=message,
        peak_bytes=memory.peak_bytes(device),
    )


def _commits(cell: ResolvedCell, home: Home) -> dict[str, str | None]:
    """The Hub's commits of the data and, where samples are read, of the model that they were drawn with."""
    commits = {"data": cell.data.commit}
    if cell.samples:
        commits["teacher"] = ", ".join(sample_store(cell, home).commits) or None
    return commits


def measurer(cell: ResolvedCell) -> Student:
    """The model that measures the difficulty of rationales instead of the student."""
    section = cell.settings.selection
    other = {
        "checkpoint": section.measured_by,
        "revision": section.revision,
        "tokenizer": None,
        "adapter": None,
        "prompt": "plain",
    }
    student = cell.settings.student.model_copy(update=other)
    return load_student(student, 0, _device(), "selection.measured_by", cue=cell.task.cue)


def _length_statistics(cell: ResolvedCell, prepared: Prepared, student: Student) -> dict[str, float]:
    """Lengths in tokens of what the student reads and writes, and the percentage that is cut; warns of it."""
    lengths = cell.settings.student
    sequence = cell.method.chooses_sequence(lengths)
    labelled = [(group, group.label) for group in prepared.sets if group.label is not None]
    questions = [question.text for question in prepared.questions]
    inputs = student.prompt_lengths("solve" if sequence else "explain", questions)
    labels = token_counts(student.tokenizer, [label for _, label in labelled])
    rows: dict[str, tuple[list[int], str]] = {
        "inputs": (inputs, "max_input"),
        "labels": (labels, "max_label"),
    }
    if sequence:
        texts = [cell.task.target(r, label) for group, label in labelled for r in group.positives]
        rows["sequences"] = token_counts(student.tokenizer, texts), "max_rationale + student.max_label"
    elif cell.method.explains:
        positives = [r for group in prepared.sets for r in group.positives]
        rows["positives"] = token_counts(student.tokenizer, positives), "max_rationale"
    found: dict[str, float] = {}
    for name, (counts, setting) in rows.items():
        limit = sum(getattr(lengths, part.removeprefix("student.")) for part in setting.split(" + "))
        counts = counts or [0]
        cut = 100 * sum(count > limit for count in counts) / len(counts)
        if cut > BEARABLE:
            logger.warning(
                "%.1f%% of the %s are cut at student.%s = %d tokens (longest: %d); raise it",
                cut, name, setting, limit, max(counts),
            )  # fmt: skip
        found |= {
            f"student/cut_{name}": cut,
            f"student/median_{name}": median(counts),
            f"student/longest_{name}": max(counts),
        }
    return found


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _versions(device: torch.device) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("qcrd", "torch", "transformers")},
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"cpu x{torch.get_num_threads()}",
    }
