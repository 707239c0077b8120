"""Prepares a cell's training data: questions, rationale sets and their statistics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType

from qcrd.cell.answers import read_answers, sample_store
from qcrd.cell.data import without_gold
from qcrd.cell.duals import dual_pairs
from qcrd.cell.identity import reading_identity
from qcrd.cell.rationale_sets import rationale_set, votes
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.fingerprint import fingerprint
from qcrd.rationales.prompted_duals import Pair
from qcrd.rationales.statistics import set_statistics, vote_statistics
from qcrd.samples import shards
from qcrd.storage.home import Home
from qcrd.types import Parsed, Question, RationaleSet, Vote

MAX_CACHED_QUESTIONS = 1_200_000  # in `_cache`: all preparations of a grid, or two of e-SNLI
_cache: dict[str, Prepared] = {}  # by `_cache_key`; least recently used first


@dataclass(frozen=True, slots=True)
class Prepared:
    """Data that a cell trains on and is evaluated with."""

    questions: tuple[Question, ...]  # training questions, without gold labels if labels are the teacher's
    sets: tuple[RationaleSet, ...]  # one per training question
    validation: tuple[Question, ...]  # with the labels that choose the step
    test: tuple[Question, ...]
    pairs: tuple[tuple[Pair, ...], ...]  # prompted dual rationales per training question
    statistics: Mapping[str, float]


def prepare(cell: ResolvedCell, home: Home) -> Prepared:
    """Read the cell's samples, vote, and build its rationale sets.

    If labels are the teacher's, gold labels are removed from training and validation questions first and are
    used only for reported statistics.

    Most cells of a grid differ only in seed or loss, so preparations are cached in this process and reused
    while data, teacher and store are the same.

    Raises:
        DataError: if samples are missing, or no training or validation question has a label.
    """
    key = _cache_key(cell, home)
    prepared = _cache.pop(key, None)
    if prepared is None:
        new_questions = len(cell.splits.train)
        # Evict before building, to limit peak memory.
        while (
            _cache and new_questions + sum(len(p.questions) for p in _cache.values()) > MAX_CACHED_QUESTIONS
        ):
            _cache.pop(next(iter(_cache)))
        prepared = _build(cell, home)
    _cache[key] = prepared
    return prepared


def _cache_key(cell: ResolvedCell, home: Home) -> str:
    """Key of cells with equal preparations."""
    reads_samples = cell.samples > 0
    stored_shards = shards.shards(sample_store(cell, home).folder) if reads_samples else []
    return fingerprint(
        {
            "task": cell.identity["task"],
            "reading": reading_identity(cell.settings) if reads_samples else None,
            "labels": cell.settings.rationales.labels,
            "denoise": cell.denoise,
            "unread": cell.unread if reads_samples else None,
            "samples": cell.samples,
            "duals": cell.asks_for_duals,
            "answers": [cell.answers, asdict(cell.settings.teacher.limit)] if reads_samples else None,
            # Shards are named by their content.
            "stored": [shard.name for shard in stored_shards],
        }
    )


def _build(cell: ResolvedCell, home: Home) -> Prepared:
    train, validation = list(cell.splits.train), list(cell.splits.validation)
    answers: list[list[Parsed]] = [[] for _ in train]
    if cell.samples:
        answers = read_answers(cell, home, "train", cell.samples, blank=cell.from_teacher)
    results = votes(train, answers)
    statistics = _teacher_statistics(cell, home, answers, results) if cell.samples else {}
    statistics["cost/teacher_tokens"] = _tokens(answers)
    sets = [rationale_set(cell, *inputs) for inputs in zip(train, answers, results, strict=True)]
    statistics |= {f"rationales/{name}": value for name, value in set_statistics(sets).items()}
    if cell.from_teacher:
        train = [without_gold(q) for q in train]
        answers = read_answers(cell, home, "validation", cell.samples, blank=True)
        statistics["cost/teacher_tokens"] += _tokens(answers)
        validation = [
            replace(without_gold(question), label=result.label)
            for question, result in zip(validation, votes(validation, answers), strict=True)
            if result.label is not None
        ]
    pairs: list[tuple[Pair, ...]] = [() for _ in train]
    if cell.asks_for_duals:
        pairs, counts, tokens = dual_pairs(cell, home, train, sets)
        statistics["cost/teacher_tokens"] += tokens
        statistics |= {f"edit/{name}": value for name, value in counts.items()}
    labelled = [i for i, group in enumerate(sets) if group.label is not None]
    if not labelled or not validation:
        raise DataError(
            f"no {'validation' if labelled else 'training'} question has a label: none of the teacher's "
            "answers could be parsed; see `qcrd samples show`, or set rationales.labels: gold"
        )
    return Prepared(
        tuple(train[i] for i in labelled),
        tuple(sets[i] for i in labelled),
        tuple(validation),
        cell.splits.test,
        tuple(pairs[i] for i in labelled),
        MappingProxyType(statistics),
    )


def _teacher_statistics(
    cell: ResolvedCell, home: Home, answers: list[list[Parsed]], results: list[Vote]
) -> dict[str, float]:
    """`vote_statistics` of the training questions; the only use of their gold labels."""
    train = cell.splits.train
    # If questions have several correct answers, equality of answers depends on the gold label.
    if cell.from_teacher and any(q.also for q in train):
        answers = read_answers(cell, home, "train", cell.samples)
        results = votes(train, answers)
    figures = vote_statistics(answers, results, [cell.task.answer(q.label, q) for q in train])
    statistics = {f"teacher/{name}": value for name, value in figures.items()}
    statistics["teacher/missing"] = cell.samples * len(train) - figures["samples"]
    return statistics


def _tokens(answers: Iterable[Iterable[Parsed]]) -> int:
    """Number of tokens that the teacher generated for the answers."""
    return sum(parsed.tokens for samples in answers for parsed in samples)
