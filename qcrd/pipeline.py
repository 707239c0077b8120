"""One cell from its settings to its record, without Ray or MLflow: all it reads is in the home folder."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock
from safetensors.torch import load_file, save_file

from qcrd import tasks
from qcrd.config import Cell, Section
from qcrd.config import Student as StudentConfig
from qcrd.config import Task as TaskConfig
from qcrd.errors import DataError, Diverged
from qcrd.files import atomic, read_json, write_json
from qcrd.fingerprint import fingerprint
from qcrd.home import JOURNAL, RECORD, Home
from qcrd.identity import cell_identity, discriminator_identity, needs_discriminator, teacher_samples
from qcrd.methods import METHODS
from qcrd.methods.base import Ingredients
from qcrd.rationales.sets import build_set
from qcrd.rationales.statistics import set_statistics, vote_statistics
from qcrd.rationales.vote import vote
from qcrd.student import checkpoint
from qcrd.student.batches import derive
from qcrd.student.discriminator import Discriminator, load_discriminator
from qcrd.student.evaluate import Evaluator
from qcrd.student.judge import Judge, augmented, judged
from qcrd.student.model import EXPLAIN, Student, count_cut, load_student, load_tokenizer
from qcrd.student.trainer import PREDICTIONS, WEIGHTS, Progress, Trainer
from qcrd.student.weights import set_weights, weights
from qcrd.tasks.base import Task
from qcrd.teacher.base import Request, requests, sampler_identity
from qcrd.teacher.embedded import EmbeddedRecipe
from qcrd.teacher.store import SampleStore
from qcrd.tracking.journal import Journal
from qcrd.types import CellRecord, Parsed, Question, RationaleSet, Splits

DIVERGED = "diverged.json"  # step and questions of the batch whose loss was no number
ERROR = "error.txt"  # trace of an attempt that failed
STUDENT = "student"  # folder of the finished student, in the Hugging Face format


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a cell trains and validates on."""

    questions: list[Question]  # training questions, without gold where labels are the teacher's
    sets: list[RationaleSet]  # one for each
    validation: list[Question]  # with the labels to choose the step by
    test: list[Question]
    statistics: dict[str, float]


def load_task(section: TaskConfig) -> tuple[Task, Splits]:
    """The task and its splits, loaded once per process."""
    return _load_task(section.model_dump_json())


@lru_cache(maxsize=8)
def _load_task(section: str) -> tuple[Task, Splits]:
    settings = TaskConfig.model_validate_json(section)
    task = tasks.get(settings.name)
    return task, task.load(settings)


@lru_cache(maxsize=64)
def _data_fingerprint(section: str) -> str:
    return _load_task(section)[1].fingerprint()


@lru_cache(maxsize=64)
def _prompts_fingerprint(section: str) -> str:
    task, splits = _load_task(section)
    return fingerprint([task.prompt(q) for q in (*splits.train, *splits.validation)])


@lru_cache(maxsize=64)
def _recipe_fingerprint(recipe: EmbeddedRecipe) -> str:
    return recipe.fingerprint()


def teacher_identity(cell: Cell) -> dict[str, Any]:
    """Identity of the sampler that the cell's samples come from; the key of their store."""
    recipe = None
    if cell.teacher.engine == "vllm" and cell.teacher.model == "embedded":
        recipe = _recipe_fingerprint(EmbeddedRecipe.of(cell.teacher))
    return sampler_identity(cell.teacher, tasks.get(cell.task.name).stop, recipe=recipe)


def answers_identity(cell: Cell) -> dict[str, str]:
    """Identity of what the teacher answers to the task: of its sampler, and of the prompts."""
    prompts = _prompts_fingerprint(cell.task.model_dump_json())
    return {"sampler": fingerprint(teacher_identity(cell)), "prompts": prompts}


def identify(cell: Cell) -> dict[str, Any]:
    """The cell's identity; its fingerprint is the cell's id."""
    teacher = answers_identity(cell) if teacher_samples(cell) else {}
    return cell_identity(cell, _data_fingerprint(cell.task.model_dump_json()), teacher)


def judge_id(cell: Cell) -> str | None:
    """Id of the pretrained discriminator that the cell needs, None where it needs none."""
    if not needs_discriminator(cell):
        return None
    data = _data_fingerprint(cell.task.model_dump_json())
    return fingerprint(discriminator_identity(cell, data, answers_identity(cell)))


def sample_requests(cell: Cell, split: str, m: int) -> list[Request]:
    """The first m draws for each question of a split."""
    task, splits = load_task(cell.task)
    return requests(getattr(splits, split), task.prompt, m, cell.teacher.seed)


def sample_store(cell: Cell, home: Home) -> SampleStore:
    """Where the cell's samples are."""
    return SampleStore(home.samples, teacher_identity(cell))


def prepare(cell: Cell, home: Home) -> Prepared:
    """Read the cell's samples, vote, and build its training sets.

    Where labels are the teacher's, gold labels are taken off the training and validation questions before
    anything looks at them; they enter the reported statistics alone.

    Raises:
        DataError: where samples are missing or no question is left to train on.
    """
    task, splits = load_task(cell.task)
    method, rationales = METHODS[cell.method], cell.rationales
    from_teacher = rationales.labels == "teacher"
    m = teacher_samples(cell)
    train, validation, statistics = list(splits.train), list(splits.validation), {}
    if m:
        parsed = _parsed(cell, home, task, train, "train", m, blank=from_teacher)
        found = vote_statistics(parsed, [task.answer(q.label, q) for q in train])
        statistics = {f"teacher/{name}": value for name, value in found.items()}
        statistics["teacher/missing"] = m * len(train) - found["samples"]
    else:
        parsed = [[] for _ in train]
    denoise = method.denoise(rationales) if m else "gold"
    sets = []
    for question, samples in zip(train, parsed, strict=True):
        gold = None if from_teacher else (question.label, task.answer(question.label, question))
        sets.append(build_set(question.id, samples, rationales.labels, denoise, gold))
    statistics |= {f"rationales/{name}": value for name, value in set_statistics(sets).items()}
    if from_teacher:
        train = [_blank(q) for q in train]
        votes = [
            vote(q.id, samples)
            for q, samples in zip(
                validation, _parsed(cell, home, task, validation, "validation", m, blank=True), strict=True
            )
        ]
        validation = [
            replace(_blank(q), label=v.label)
            for q, v in zip(validation, votes, strict=True)
            if v.label is not None
        ]
    kept = [i for i, group in enumerate(sets) if group.label is not None]
    if not kept or not validation:
        raise DataError(
            f"no {'validation' if kept else 'training'} question has a label: none of the teacher's answers "
            "could be parsed; look at them in the sample store, or set rationales.labels: gold"
        )
    return Prepared(
        [train[i] for i in kept], [sets[i] for i in kept], validation, list(splits.test), statistics
    )


def _parsed(
    cell: Cell, home: Home, task: Task, questions: Sequence[Question], split: str, m: int, blank: bool
) -> list[list[Parsed]]:
    wanted = sample_requests(cell, split, m)
    stored = sample_store(cell, home).load()
    found: dict[str, list[Parsed]] = {q.id: [] for q in questions}
    asked = {q.id: _blank(q) if blank else q for q in questions}
    for request in wanted:
        sample = stored.get(request.key)
        if sample is not None:
            question = asked[request.question_id]
            found[question.id].append(task.parse(sample.text, question, sample.finish_reason))
    missing = len(wanted) - sum(map(len, found.values()))
    # Recorded answers may be fewer for some questions; a model that is asked answers all.
    if missing == len(wanted) or (missing and cell.teacher.engine != "recorded"):
        raise DataError(
            f"the store lacks {missing} of the {len(wanted)} samples for the {split} split of "
            f"{cell.task.name}; `qcrd run` draws them before it trains"
        )
    return [found[q.id] for q in questions]


def _blank(question: Question) -> Question:
    return replace(question, label="", rationale=None)


def ensure_discriminator(cell: Cell, home: Home, prepared: Prepared | None = None) -> Path:
    """Weights of the discriminator that the cell needs, pretraining it if nobody has; one process does."""
    path = home.discriminators / f"{judge_id(cell)}.safetensors"
    home.discriminators.mkdir(parents=True, exist_ok=True)
    with FileLock(path.with_suffix(".lock")):
        if path.exists():
            return path
        prepared = prepared or prepare(cell, home)
        model = _new_discriminator(cell)
        judge = Judge(model, cell.discriminator, cell.seed)
        texts = [q.text for q in prepared.questions]
        sets = augmented(prepared.sets, cell.discriminator, cell.seed)
        figures = judge.pretrain(judged(load_tokenizer(cell.student), texts, sets, cell.student))
        write_json(path.with_suffix(".json"), figures)
        with atomic(path) as temporary:
            save_file(weights(model), temporary)
    return path


def _new_discriminator(cell: Cell) -> Discriminator:
    return load_discriminator(
        cell.discriminator,
        load_tokenizer(cell.student),
        cell.student.precision,
        derive(cell.seed, "init", "discriminator"),
        _device(),
    )


def run_cell(
    cell: Cell,
    name: str,
    home: Home,
    report: Callable[[Progress], None] = lambda progress: None,
    keep_student: bool = True,
) -> CellRecord:
    """Train and evaluate one cell, going on from its checkpoint; a finished one is only looked up.

    A lock on the cell's folder makes a second process wait and then find the work done.

    Args:
        cell: its settings.
        name: for people.
        home: where its samples are and its results go.
        report: called every few steps.
        keep_student: whether to keep the student of the chosen step as a Hugging Face folder.

    Returns:
        The record: status "done", or "diverged" where the loss stopped being a number.
    """
    identity = identify(cell)
    folder = home.cell(fingerprint(identity))
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        record = home.record(folder.name)
        if record is None:
            for leftover in folder.glob(".*.tmp"):  # of a killed holder
                leftover.unlink()
            write_json(folder / "cell.json", {"name": name, "identity": identity, "settings": _plain(cell)})
            with Journal(folder / JOURNAL) as journal:
                try:
                    record = _train(cell, name, identity, folder, home, journal, report, keep_student)
                except Exception as error:
                    journal.status("failed", f"{type(error).__name__}: {error}")
                    (folder / ERROR).write_text(traceback.format_exc())
                    raise
            (folder / ERROR).unlink(missing_ok=True)  # of an earlier attempt
        return record


def _train(
    cell: Cell,
    name: str,
    identity: dict[str, Any],
    folder: Path,
    home: Home,
    journal: Journal,
    report: Callable[[Progress], None],
    keep_student: bool,
) -> CellRecord:
    method, device = METHODS[cell.method], _device()
    task, _ = load_task(cell.task)
    prepared = prepare(cell, home)
    student = load_student(cell.student, derive(cell.seed, "init"), device)
    judge, seen = None, []
    statistics = prepared.statistics | _cut_statistics(prepared, student, cell.student)
    if judge_id(cell) is not None:
        path = ensure_discriminator(cell, home, prepared)
        model = _new_discriminator(cell)
        set_weights(model, load_file(path))
        judge = Judge(model, cell.discriminator, cell.seed)
        texts = [q.text for q in prepared.questions]
        seen = judged(student.tokenizer, texts, prepared.sets, cell.student)
        figures = read_json(path.with_suffix(".json")) or {}
        statistics |= {f"discriminator/pretrain_{k}": v for k, v in figures.items()}
    objective = method.build(
        Ingredients(
            student=student,
            task=task,
            questions=prepared.questions,
            sets=prepared.sets,
            training=cell.training,
            lengths=cell.student,
            contrastive=cell.contrastive,
            selfplay=cell.selfplay,
            judge=judge,
            judged=seen,
            seed=cell.seed,
        )
    )
    evaluators = {
        split: Evaluator(student, task, method, questions, cell.student)
        for split, questions in (("validation", prepared.validation), ("test", prepared.test))
    }
    ids = [q.id for q in prepared.questions]
    trainer = Trainer(
        student, objective, ids, cell.training, cell.seed, evaluators, journal, folder, report, statistics
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
            set_weights(student, load_file(folder / WEIGHTS))
            student.save(folder / STUDENT)
        journal.artifact(folder / PREDICTIONS)
    journal.artifact(folder / "cell.json")
    record = CellRecord(
        id=folder.name,
        name=name,
        status=status,
        identity=identity,
        settings=_plain(cell),
        accuracy=progress.accuracy,
        chosen_step=progress.chosen_step,
        seconds=trainer.spent,
        statistics=statistics,
        versions=_versions(device),
        message=message,
    )
    figures = {f"final/{k}": v for k, v in progress.accuracy.items()} if status == "done" else {}
    figures |= {"final/chosen_step": progress.chosen_step, "time/seconds": trainer.spent}
    journal.metrics(progress.step, **figures)
    journal.status(status, message)
    journal.sync()
    write_json(folder / RECORD, asdict(record))
    # Only now: killed before the record, the cell goes on from its checkpoint and needs both again.
    checkpoint.clear(folder)
    (folder / WEIGHTS).unlink(missing_ok=True)
    return record


def _cut_statistics(prepared: Prepared, student: Student, limits: StudentConfig) -> dict[str, float]:
    texts = {
        "inputs": ([EXPLAIN + q.text for q in prepared.questions], limits.max_input),
        "positives": ([r for group in prepared.sets for r in group.positives], limits.max_rationale),
        "labels": ([group.label for group in prepared.sets], limits.max_label),
    }
    return {
        f"student/cut_{name}": count_cut(student.tokenizer, rows, limit)
        for name, (rows, limit) in texts.items()
    }


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _plain(section: Section) -> dict[str, Any]:
    return section.model_dump(mode="json")


def _versions(device: torch.device) -> dict[str, str]:
    return {
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in ("qcrd", "torch", "transformers")},
        "device": torch.cuda.get_device_name()
        if device.type == "cuda"
        else f"cpu x{torch.get_num_threads()}",
    }
