"""One cell from its settings to its record, without Ray or MLflow: all it reads is in the home folder."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Sequence
from functools import partial
from importlib import metadata
from pathlib import Path
from statistics import median
from typing import Any

import torch
from transformers import PreTrainedTokenizerBase, T5Config

from qcrd.cell.identity import teacher_samples
from qcrd.cell.preparation import Prepared, data_commit, judge_id, load_task, prepare, sample_store
from qcrd.cell.record import Outcome, once
from qcrd.config import Cell
from qcrd.discriminator.footprint import training_bytes
from qcrd.discriminator.model import Discriminator, load_discriminator
from qcrd.discriminator.questions import (
    JudgedQuestion,
    augmentation,
    held_out,
    judged,
    with_augmented,
)
from qcrd.discriminator.trainer import Judge
from qcrd.errors import Diverged, QcrdError
from qcrd.hub.token_ids import token_counts
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients
from qcrd.seeds import derive
from qcrd.storage import tensors
from qcrd.storage.files import read_json, write_json
from qcrd.storage.home import PREDICTIONS, STUDENT, Home
from qcrd.storage.journal import Journal
from qcrd.storage.tensors import DamagedTensors
from qcrd.student.base import Student
from qcrd.student.load import load_student
from qcrd.student.t5.load import t5_config
from qcrd.student.token_duplicates import apart
from qcrd.student.tokenizer import load_tokenizer
from qcrd.student.weights import set_weights, weights
from qcrd.training import memory
from qcrd.training.evaluate import Evaluator
from qcrd.training.trainer import WEIGHTS, Progress, Trainer
from qcrd.training.usage import Usage
from qcrd.types import CellRecord, RationaleSet

DIVERGED = "diverged.json"  # step and questions of the batch whose loss was no number
COMMIT = "commit"  # of the checkpoint that a discriminator was pretrained from, beside its figures
BEARABLE = 1.0  # percent of texts that may be cut without a warning

logger = logging.getLogger(__name__)


def ensure_discriminator(cell: Cell, home: Home, prepared: Prepared | None = None) -> Path:
    """Weights of the discriminator that the cell needs, pretraining it if nobody has; one process does."""
    path = home.discriminators / f"{judge_id(cell)}.safetensors"
    home.discriminators.mkdir(parents=True, exist_ok=True)
    with home.hold(path.parent, lease=path.with_suffix(".lease"), wanted=lambda n: n.startswith(path.stem)):
        if path.exists():  # pretrained while this process waited, or on another machine
            return path
        prepared = prepared or prepare(cell, home)
        model = new_discriminator(cell)
        tokenizer = load_tokenizer(cell.student)
        sets = apart(tokenizer, prepared.sets, cell.student.max_rationale)
        judge, seen = _judge(cell, prepared, sets, model, tokenizer)
        made = augmentation(sets, cell.discriminator, cell.seed)
        figures = judge.pretrain(lambda n: with_augmented(tokenizer, seen, made(n), cell.student))
        write_json(path.with_suffix(".json"), {**figures, COMMIT: model.commit})
        tensors.save(path, weights(model))
    return path


def _pretrained(cell: Cell, home: Home, prepared: Prepared) -> tuple[Discriminator, dict[str, Any]]:
    """The cell's discriminator with what its pretraining came to; pretrained anew where it is damaged."""
    path, model = ensure_discriminator(cell, home, prepared), new_discriminator(cell)
    try:
        values = tensors.load(path)[0]
    except DamagedTensors as error:
        logger.warning("%s; it is pretrained again, or had from the bucket", error)
        path.unlink(missing_ok=True)
        try:
            values = tensors.load(ensure_discriminator(cell, home, prepared))[0]
        except DamagedTensors:  # in the bucket too
            path.unlink(missing_ok=True)
            home.bucket.remove([path])
            values = tensors.load(ensure_discriminator(cell, home, prepared))[0]
    set_weights(model, values)
    return model, read_json(path.with_suffix(".json")) or {}


def _judge(
    cell: Cell,
    prepared: Prepared,
    sets: Sequence[RationaleSet],
    model: Discriminator,
    tokenizer: PreTrainedTokenizerBase,
) -> tuple[Judge, list[JudgedQuestion]]:
    """The judge, and the questions as it sees them; `sets` are those of `prepared`, told apart in tokens."""
    held = held_out(sets, cell.discriminator.held_out, cell.seed)
    texts = [q.text for q in prepared.questions]
    seen = judged(tokenizer, texts, sets, cell.student, held)
    return Judge(model, cell.discriminator, cell.seed, [q for q in seen if q.held_out]), seen


def new_discriminator(cell: Cell) -> Discriminator:
    """The discriminator of a cell before any training."""
    return load_discriminator(
        cell.discriminator,
        load_tokenizer(cell.student),
        cell.student.precision,
        derive(cell.seed, "init", "discriminator"),
        _device(),
    )


def judge_bytes(cell: Cell) -> int | None:
    """Bytes that training the cell's discriminator takes at most, by shapes; None where those are unknown."""
    section, longest = cell.discriminator, cell.student.max_input + cell.student.max_rationale
    try:
        if section.checkpoint is None:
            shape = t5_config(section.architecture, load_tokenizer(cell.student), 0.0)
        else:
            shape = T5Config.from_pretrained(section.checkpoint, revision=section.revision)
    except (OSError, ValueError, QcrdError):  # whoever loads it says what is wrong
        return None
    return training_bytes(shape, longest, section.max_tokens)


def run_cell(
    cell: Cell,
    name: str,
    home: Home,
    report: Callable[[Progress], None] = lambda progress: None,
    keep_student: bool = True,
) -> CellRecord:
    """Train and evaluate one cell, going on from its checkpoint; a finished one is only looked up.

    Args:
        cell: its settings.
        name: for people.
        home: where its samples are and its results go.
        report: called every few steps.
        keep_student: whether to keep the student of the chosen step as a Hugging Face folder.

    Returns:
        The record: status "done", or "diverged" where something stopped being a number.
    """

    def work(folder: Path, journal: Journal) -> Outcome:
        return _train(cell, folder, home, journal, report, keep_student)

    return once(cell, name, home, work)


def _train(
    cell: Cell,
    folder: Path,
    home: Home,
    journal: Journal,
    report: Callable[[Progress], None],
    keep_student: bool,
) -> Outcome:
    method, device, commits = METHODS[cell.method], _device(), _commits(cell, home)
    memory.reset_peak(device)
    task, _ = load_task(cell.task)
    prepared = prepare(cell, home)
    student = load_student(cell.student, derive(cell.seed, "init"), device)
    judge, seen = None, []
    sets = apart(student.tokenizer, prepared.sets, cell.student.max_rationale)
    statistics = prepared.statistics | _length_statistics(cell, prepared, student)
    statistics["rationales/equal_tokens"] = sum(s.equal for s in sets) - sum(s.equal for s in prepared.sets)
    if judge_id(cell) is not None:
        model, figures = _pretrained(cell, home, prepared)
        commits["discriminator"] = figures.pop(COMMIT, None)
        judge, seen = _judge(cell, prepared, sets, model, student.tokenizer)
        statistics |= {f"discriminator/pretrain_{k}": v for k, v in figures.items()}
    selection = method.selection(cell.selection)
    objective = method.objective(
        Ingredients(
            student=student,
            task=task,
            questions=prepared.questions,
            sets=sets,
            training=cell.training,
            lengths=cell.student,
            selection=selection,
            measurer=partial(measurer, cell) if selection.measured_by is not None else None,
            contrastive=cell.contrastive,
            selfplay=cell.selfplay,
            edit=cell.edit,
            pairs=prepared.pairs,
            judge=judge,
            judged=seen,
            seed=cell.seed,
            options=method.settings(cell),
        )
    )
    statistics |= objective.statistics
    evaluators = {
        split: Evaluator(student, task, method, questions, cell.student)
        for split, questions in (("validation", prepared.validation), ("test", prepared.test))
    }
    ids = [q.id for q in prepared.questions]
    trainer = Trainer(
        student,
        objective,
        ids,
        cell.training,
        cell.seed,
        evaluators,
        journal,
        folder,
        report,
        statistics,
        Usage(device),
    )
    status, message = "done", ""
    try:
        progress = trainer.run()
    except Diverged as error:
        progress, status, message = trainer.progress, "diverged", str(error)
        write_json(folder / DIVERGED, {"step": error.step, "questions": error.question_ids})
        journal.artifact(folder / DIVERGED)
    if status == "done":
        if keep_student:
            student.set_weights(tensors.load(folder / WEIGHTS)[0])
            student.save(folder / STUDENT)
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


def _commits(cell: Cell, home: Home) -> dict[str, str | None]:
    """The Hub's commits of the data and, where samples are read, of the model that they were drawn with."""
    found = {"data": data_commit(cell.task)}
    if teacher_samples(cell):
        found["teacher"] = ", ".join(sample_store(cell, home).commits) or None
    return found


def measurer(cell: Cell) -> Student:
    """The model that measures the difficulty of rationales instead of the student."""
    other = {"checkpoint": cell.selection.measured_by, "revision": cell.selection.revision, "tokenizer": None}
    return load_student(cell.student.model_copy(update=other), 0, _device(), "selection.measured_by")


def _length_statistics(cell: Cell, prepared: Prepared, student: Student) -> dict[str, float]:
    """Lengths in tokens of what the student reads and writes, and the percentage that is cut; warns of it."""
    texts = {
        "inputs": ([student.prompt("explain", q.text) for q in prepared.questions], "max_input"),
        "labels": ([group.label for group in prepared.sets], "max_label"),
    }
    if "max_rationale" in METHODS[cell.method].uses:
        texts["positives"] = [r for group in prepared.sets for r in group.positives], "max_rationale"
    found = {}
    for name, (rows, setting) in texts.items():
        counts, limit = token_counts(student.tokenizer, rows) or [0], getattr(cell.student, setting)
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
