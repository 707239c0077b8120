"""What a cell trains and validates on: its questions, rationale sets and their statistics."""

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

MOST = 1_200_000  # questions of the preparations that are kept: all that a grid has, of e-SNLI two
_kept: dict[str, Prepared] = {}  # by `_key`; the one used longest ago first


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a cell trains and validates on."""

    questions: tuple[Question, ...]  # training questions, without gold where labels are the teacher's
    sets: tuple[RationaleSet, ...]  # one for each
    validation: tuple[Question, ...]  # with the labels to choose the step by
    test: tuple[Question, ...]
    pairs: tuple[tuple[Pair, ...], ...]  # for each training question the duals that the teacher was asked for
    statistics: Mapping[str, float]


def prepare(cell: ResolvedCell, home: Home) -> Prepared:
    """Read the cell's samples, vote, and build its training sets.

    Where labels are the teacher's, gold labels are taken off the training and validation questions before
    anything looks at them; they enter the reported statistics alone.

    The cells of a grid differ in seed or loss more often than in what they learn from, so what was prepared
    is kept for those that follow in this process, as long as data, teacher and store are the same.

    Raises:
        DataError: where samples are missing or no question is left to train on.
    """
    key = _key(cell, home)
    prepared = _kept.pop(key, None)
    if prepared is None:
        coming = len(cell.splits.train)
        # Room is made before the new one is there.
        while _kept and coming + sum(len(p.questions) for p in _kept.values()) > MOST:
            _kept.pop(next(iter(_kept)))
        prepared = _build(cell, home)
    _kept[key] = prepared
    return prepared


def _key(cell: ResolvedCell, home: Home) -> str:
    """Equal for cells that learn from the same."""
    reads = cell.samples > 0
    stored = shards.shards(sample_store(cell, home).folder) if reads else []
    return fingerprint(
        {
            "task": cell.identity["task"],
            "reading": reading_identity(cell.settings) if reads else None,
            "labels": cell.settings.rationales.labels,
            "denoise": cell.denoise,
            "unread": cell.unread if reads else None,
            "samples": cell.samples,
            "duals": cell.asks_for_duals,
            "answers": [cell.answers, asdict(cell.settings.teacher.limit)] if reads else None,
            # A shard is named after its bytes, so their names are what the store holds.
            "stored": [shard.name for shard in stored],
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
    sets = [rationale_set(cell, *each) for each in zip(train, answers, results, strict=True)]
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
        cell.splits.test,
        tuple(pairs[i] for i in kept),
        MappingProxyType(statistics),
    )


def _teacher_statistics(
    cell: ResolvedCell, home: Home, answers: list[list[Parsed]], results: list[Vote]
) -> dict[str, float]:
    """`vote_statistics` of the training questions; gold labels enter them and nothing else."""
    train = cell.splits.train
    # Which answers are the same depends on the gold label where a question has several right ones.
    if cell.from_teacher and any(q.also for q in train):
        answers = read_answers(cell, home, "train", cell.samples)
        results = votes(train, answers)
    figures = vote_statistics(answers, results, [cell.task.answer(q.label, q) for q in train])
    statistics = {f"teacher/{name}": value for name, value in figures.items()}
    statistics["teacher/missing"] = cell.samples * len(train) - figures["samples"]
    return statistics


def _tokens(answers: Iterable[Iterable[Parsed]]) -> int:
    """That the teacher generated for them."""
    return sum(parsed.tokens for samples in answers for parsed in samples)
