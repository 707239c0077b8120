"""What a cell is trained on: its identity, its samples, its questions and rationale sets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from types import MappingProxyType
from typing import Any

from qcrd import tasks
from qcrd.cell.identity import (
    asks_for_duals,
    cell_identity,
    discriminator_identity,
    needs_discriminator,
    reading_identity,
    task_identity,
    teacher_samples,
)
from qcrd.config import Cell
from qcrd.config import Task as TaskConfig
from qcrd.errors import DataError
from qcrd.fingerprint import fingerprint, fingerprint_each
from qcrd.methods import METHODS
from qcrd.rationales import prompted_duals
from qcrd.rationales.prompted_duals import Pair
from qcrd.rationales.sets import build_set
from qcrd.rationales.statistics import set_statistics, vote_statistics
from qcrd.rationales.vote import vote
from qcrd.samples import shards
from qcrd.samples.requests import Request, requests
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home
from qcrd.tasks import shots
from qcrd.tasks.base import Task
from qcrd.tasks.sources import noted_commits
from qcrd.teacher.engines import ENGINES, sampler_identity
from qcrd.types import Parsed, Prompt, Question, RationaleSet, Splits

MOST = 1_200_000  # questions of the preparations that are kept: all that a grid has, of e-SNLI two
_prepared: dict[str, Prepared] = {}


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a cell trains and validates on."""

    questions: tuple[Question, ...]  # training questions, without gold where labels are the teacher's
    sets: tuple[RationaleSet, ...]  # one for each
    validation: tuple[Question, ...]  # with the labels to choose the step by
    test: tuple[Question, ...]
    pairs: tuple[tuple[Pair, ...], ...]  # for each training question the duals that the teacher was asked for
    statistics: Mapping[str, float]


def load_task(section: TaskConfig) -> tuple[Task, Splits]:
    """The task and its splits, loaded once per process."""
    return _load_task(section.model_dump_json())[:2]


def data_commit(section: TaskConfig) -> str | None:
    """The Hub's commit that the questions were read from, None where they are from elsewhere."""
    return ", ".join(_load_task(section.model_dump_json())[2]) or None


@lru_cache(maxsize=8)
def _load_task(section: str) -> tuple[Task, Splits, tuple[str, ...]]:
    settings = TaskConfig.model_validate_json(section)
    task = tasks.of(settings)
    with noted_commits() as commits:
        splits = task.load(settings)
    return task, splits, tuple(commits)


def data_fingerprint(section: TaskConfig) -> str:
    """Short id of the task's questions."""
    return _data_fingerprint(section.model_dump_json())


@lru_cache(maxsize=64)
def _data_fingerprint(section: str) -> str:
    return _load_task(section)[1].fingerprint()


def prompts_fingerprint(section: TaskConfig) -> str:
    """Short id of what the teacher is asked about the training and validation questions."""
    return _prompts_fingerprint(section.model_dump_json())


@lru_cache(maxsize=64)
def _prompts_fingerprint(section: str) -> str:
    splits = _load_task(section)[1]
    ask = _ask(section)
    return fingerprint_each(ask(q).text for q in (*splits.train, *splits.validation))


def _ask(section: str) -> Callable[[Question], Prompt]:
    """How the teacher is asked, with the user's instructions and examples where there are any."""
    settings = TaskConfig.model_validate_json(section)
    task = tasks.of(settings)
    return partial(task.prompt, shots=shots.read(settings.prompt) if settings.prompt else None)


def teacher_identity(cell: Cell) -> dict[str, Any]:
    """Identity of the sampler that the cell's samples come from; the key of their store."""
    return sampler_identity(cell.teacher, tasks.of(cell.task).stop)


def answers_identity(cell: Cell) -> dict[str, Any]:
    """Identity of what the teacher answers: of its sampler and of the prompts, and where it is cut off."""
    found = {"sampler": fingerprint(teacher_identity(cell)), "prompts": prompts_fingerprint(cell.task)}
    return {**found, "limit": asdict(cell.teacher.limit)} if ENGINES[cell.teacher.engine].draws else found


def identify(cell: Cell) -> dict[str, Any]:
    """The cell's identity; its fingerprint is the cell's id."""
    teacher = answers_identity(cell) if teacher_samples(cell) else {}
    if asks_for_duals(cell):
        teacher["duals"] = _duals_fingerprint(cell.task.model_dump_json())
    return cell_identity(cell, data_fingerprint(cell.task), teacher)


@lru_cache(maxsize=64)
def _duals_fingerprint(section: str) -> str:
    task, splits, _ = _load_task(section)
    return prompted_duals.prompts_fingerprint(task, splits.train[0])


def judge_id(cell: Cell) -> str | None:
    """Id of the pretrained discriminator that the cell needs, None where it needs none."""
    if not needs_discriminator(cell):
        return None
    data = data_fingerprint(cell.task)
    return fingerprint(discriminator_identity(cell, data, answers_identity(cell)))


def sample_requests(cell: Cell, split: str, m: int) -> list[Request]:
    """The first m draws for each question of a split."""
    return question_requests(cell, getattr(load_task(cell.task)[1], split), m)


def question_requests(cell: Cell, questions: Iterable[Question], m: int) -> list[Request]:
    """The first m draws for each of the questions."""
    return requests(questions, _ask(cell.task.model_dump_json()), m, cell.teacher.seed)


def dual_requests(cell: Cell, home: Home) -> list[Request]:
    """What the teacher is asked about its first answers, for a cell that `asks_for_duals`.

    Raises:
        DataError: where some of the first answers are missing.
    """
    task, splits = load_task(cell.task)
    blank = cell.rationales.labels == "teacher"
    questions = [without_gold(q) for q in splits.train] if blank else splits.train
    answers = parsed(cell, home, "train", teacher_samples(cell), blank=blank)
    sets = [rationale_set(cell, *each) for each in zip(questions, answers, strict=True)]
    return [one.request for one in prompted_duals.ask(task, questions, sets, cell.teacher.seed)]


def sample_store(cell: Cell, home: Home) -> SampleStore:
    """Where the cell's samples are."""
    return SampleStore(home.samples, teacher_identity(cell), cell.teacher.limit, bucket=home.bucket)


def prepare(cell: Cell, home: Home) -> Prepared:
    """Read the cell's samples, vote, and build its training sets.

    Where labels are the teacher's, gold labels are taken off the training and validation questions before
    anything looks at them; they enter the reported statistics alone.

    The cells of a grid differ in seed or loss more often than in what they learn from, so what was prepared
    is kept for those that follow in this process, as long as data, teacher and store are the same.

    Raises:
        DataError: where samples are missing or no question is left to train on.
    """
    m = teacher_samples(cell)
    depends = {
        "task": task_identity(cell, data_fingerprint(cell.task)),
        "reading": reading_identity(cell) if m else None,
        "labels": cell.rationales.labels,
        "denoise": METHODS[cell.method].denoise(cell.rationales) if m else None,
        "unread": METHODS[cell.method].unread(cell.rationales) if m else None,
        "samples": m,
        "duals": asks_for_duals(cell),
        "answers": [answers_identity(cell), asdict(cell.teacher.limit)] if m else None,
        # A shard is named after its bytes, so their names are what the store holds.
        "stored": [shard.name for shard in shards.shards(sample_store(cell, home).folder)] if m else [],
    }
    key = fingerprint(depends)
    found = _prepared.pop(key, None)
    if found is None:
        coming = len(load_task(cell.task)[1].train)
        # Room is made before the new one is there; the one that was used longest ago goes first.
        while _prepared and coming + sum(len(p.questions) for p in _prepared.values()) > MOST:
            _prepared.pop(next(iter(_prepared)))
        found = _prepare(cell, home)
    _prepared[key] = found
    return found


def _prepare(cell: Cell, home: Home) -> Prepared:
    task, splits = load_task(cell.task)
    from_teacher = cell.rationales.labels == "teacher"
    m = teacher_samples(cell)
    train, validation, statistics = list(splits.train), list(splits.validation), {}
    if m:
        answers = parsed(cell, home, "train", m, blank=from_teacher)
        # Which answers are the same hangs on the gold label where a question has several right ones.
        known = parsed(cell, home, "train", m) if from_teacher and any(q.also for q in train) else answers
        found = vote_statistics(known, [task.answer(q.label, q) for q in train])
        statistics = {f"teacher/{name}": value for name, value in found.items()}
        statistics["teacher/missing"] = m * len(train) - found["samples"]
    else:
        answers = [[] for _ in train]
    statistics["cost/teacher_tokens"] = _tokens(answers)
    sets = [rationale_set(cell, *each) for each in zip(train, answers, strict=True)]
    statistics |= {f"rationales/{name}": value for name, value in set_statistics(sets).items()}
    if from_teacher:
        train = [without_gold(q) for q in train]
        answers = parsed(cell, home, "validation", m, blank=True)
        statistics["cost/teacher_tokens"] += _tokens(answers)
        votes = [vote(q.id, samples) for q, samples in zip(validation, answers, strict=True)]
        validation = [
            replace(without_gold(q), label=v.label)
            for q, v in zip(validation, votes, strict=True)
            if v.label is not None
        ]
    pairs: list[tuple[Pair, ...]] = [() for _ in train]
    if asks_for_duals(cell):
        pairs, counts, tokens = _pairs(cell, home, train, sets)
        statistics["cost/teacher_tokens"] += tokens
        statistics |= {f"edit/{name}": value for name, value in counts.items()}
    kept = [i for i, group in enumerate(sets) if group.label is not None]
    if not kept or not validation:
        raise DataError(
            f"no {'validation' if kept else 'training'} question has a label: none of the teacher's answers "
            "could be parsed; look at them in the sample store, or set rationales.labels: gold"
        )
    return Prepared(
        tuple(train[i] for i in kept),
        tuple(sets[i] for i in kept),
        tuple(validation),
        splits.test,
        tuple(pairs[i] for i in kept),
        MappingProxyType(statistics),
    )


def _pairs(
    cell: Cell, home: Home, questions: Sequence[Question], sets: Sequence[RationaleSet]
) -> tuple[list[tuple[Pair, ...]], dict[str, float], int]:
    """As `prompted_duals.pairs`, with the answers from the store and how many tokens they have."""
    task, _ = load_task(cell.task)
    wanted = prompted_duals.ask(task, questions, sets, cell.teacher.seed)
    stored = sample_store(cell, home).load([one.request for one in wanted])
    missing = len({one.request.key for one in wanted} - stored.keys())
    if missing:
        raise DataError(
            f"the store lacks {missing} of the {len(wanted)} answers to the prompts for dual rationales of "
            f"{cell.task.name}; `qcrd run` draws them before it trains"
        )
    found = prompted_duals.pairs(task, questions, sets, wanted, stored)
    return *found, sum(sample.tokens for sample in stored.values())


def _tokens(answers: Iterable[Iterable[Parsed]]) -> int:
    """That the teacher generated for them."""
    return sum(read.tokens for samples in answers for read in samples)


def rationale_set(cell: Cell, question: Question, samples: Sequence[Parsed]) -> RationaleSet:
    """What a training question offers the cell, from its samples as `parsed` reads them.

    Where labels are the teacher's, the question's gold label is not looked at.
    """
    method = METHODS[cell.method]
    denoise = method.denoise(cell.rationales) if teacher_samples(cell) else "gold"
    gold = None
    if cell.rationales.labels == "gold":
        task, _ = load_task(cell.task)
        gold = question.label, task.answer(question.label, question)
    return build_set(
        question.id, samples, cell.rationales.labels, denoise, gold, method.unread(cell.rationales)
    )


def parsed(cell: Cell, home: Home, split: str, m: int, blank: bool = False) -> list[list[Parsed]]:
    """The first m answers to each question of a split, read.

    Args:
        cell: whose task and teacher it is.
        home: where the samples are.
        split: train, validation or test.
        m: answers per question; recorded ones may be fewer.
        blank: whether gold label and rationale are taken off the questions before anything is read.

    Raises:
        DataError: where samples are missing.
    """
    task, splits = load_task(cell.task)
    questions = getattr(splits, split)
    wanted = sample_requests(cell, split, m)
    stored = sample_store(cell, home).load(wanted)
    found: dict[str, list[Parsed]] = {q.id: [] for q in questions}
    asked = {q.id: without_gold(q) if blank else q for q in questions}
    for request in wanted:
        sample = stored.get(request.key)
        if sample is not None:
            question = asked[request.question_id]
            read = task.parse(sample.text, question, sample.finish_reason)
            found[question.id].append(replace(read, tokens=sample.tokens))
    missing = len(wanted) - sum(map(len, found.values()))
    # Recorded answers may be fewer for some questions; a model that is asked answers all.
    if missing == len(wanted) or (missing and ENGINES[cell.teacher.engine].draws):
        raise DataError(
            f"the store lacks {missing} of the {len(wanted)} samples for the {split} split of "
            f"{cell.task.name}; `qcrd run` draws them before it trains"
        )
    return [found[q.id] for q in questions]


def without_gold(question: Question) -> Question:
    """The question as training on the teacher's labels sees it."""
    return replace(question, label="", rationale=None, also=())
