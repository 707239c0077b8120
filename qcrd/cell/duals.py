"""Requests for dual rationales (EDIT), which depend on the teacher's first answers."""

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
    """The requests for dual rationales of a cell that `asks_for_duals`.

    Raises:
        DataError: if some of the teacher's first answers are missing.
    """
    train = cell.splits.train
    questions = [without_gold(q) for q in train] if cell.from_teacher else list(train)
    answers = read_answers(cell, home, "train", cell.samples, blank=cell.from_teacher)
    results = votes(questions, answers)
    sets = [rationale_set(cell, *inputs) for inputs in zip(questions, answers, results, strict=True)]
    prompts = prompted_duals.ask(cell.task, questions, sets, cell.settings.teacher.seed)
    return [prompt.request for prompt in prompts]


def dual_pairs(
    cell: ResolvedCell, home: Home, questions: Sequence[Question], sets: Sequence[RationaleSet]
) -> tuple[list[tuple[Pair, ...]], dict[str, float], int]:
    """The result of `prompted_duals.pairs` with the stored answers, and their number of tokens.

    Raises:
        DataError: if some of these answers are missing.
    """
    prompts = prompted_duals.ask(cell.task, questions, sets, cell.settings.teacher.seed)
    stored = sample_store(cell, home).load([prompt.request for prompt in prompts])
    missing = len({prompt.request.key for prompt in prompts} - stored.keys())
    if missing:
        raise DataError(
            f"the store lacks {missing} of the {len(prompts)} answers to the prompts for dual rationales of "
            f"{cell.settings.task.name}; `qcrd run` draws them before training"
        )
    pairs, counts = prompted_duals.pairs(cell.task, questions, sets, prompts, stored)
    return pairs, counts, sum(sample.tokens for sample in stored.values())
