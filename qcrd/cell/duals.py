"""Dual rationales that a cell's teacher is asked for once its first answers are there (EDIT)."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd.cell.answers import read_answers, sample_store
from qcrd.cell.data import without_gold
from qcrd.cell.rationale_sets import rationale_set, votes
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.rationales import prompted_duals
from qcrd.rationales.prompted_duals import Pair
from qcrd.samples.requests import Request
from qcrd.storage.home import Home
from qcrd.types import Question, RationaleSet


def dual_requests(cell: ResolvedCell, home: Home) -> list[Request]:
    """What the teacher is asked about its first answers, for a cell that `asks_for_duals`.

    Raises:
        DataError: where some of the first answers are missing.
    """
    train = cell.splits.train
    questions = [without_gold(q) for q in train] if cell.from_teacher else list(train)
    answers = read_answers(cell, home, "train", cell.samples, blank=cell.from_teacher)
    results = votes(questions, answers)
    sets = [rationale_set(cell, *each) for each in zip(questions, answers, results, strict=True)]
    asked = prompted_duals.ask(cell.task, questions, sets, cell.settings.teacher.seed)
    return [each.request for each in asked]


def dual_pairs(
    cell: ResolvedCell, home: Home, questions: Sequence[Question], sets: Sequence[RationaleSet]
) -> tuple[list[tuple[Pair, ...]], dict[str, float], int]:
    """As `prompted_duals.pairs`, with the answers from the store and how many tokens they have.

    Raises:
        DataError: where some of these answers are missing.
    """
    asked = prompted_duals.ask(cell.task, questions, sets, cell.settings.teacher.seed)
    stored = sample_store(cell, home).load([each.request for each in asked])
    missing = len({each.request.key for each in asked} - stored.keys())
    if missing:
        raise DataError(
            f"the store lacks {missing} of the {len(asked)} answers to the prompts for dual rationales of "
            f"{cell.settings.task.name}; `qcrd run` draws them before it trains"
        )
    pairs, counts = prompted_duals.pairs(cell.task, questions, sets, asked, stored)
    return pairs, counts, sum(sample.tokens for sample in stored.values())
