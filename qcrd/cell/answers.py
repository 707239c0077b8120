"""A teacher's answers to a cell's questions: the requests, the store that holds them, and reading them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from qcrd.cell.data import without_gold
from qcrd.cell.resolved import ResolvedCell
from qcrd.errors import DataError
from qcrd.samples.requests import Request, requests
from qcrd.samples.store import SampleStore
from qcrd.storage.home import Home
from qcrd.teacher.engines import ENGINES
from qcrd.types import Parsed, Question


def sample_requests(cell: ResolvedCell, split: str, m: int) -> list[Request]:
    """The first m draws for each question of a split."""
    return question_requests(cell, getattr(cell.splits, split), m)


def question_requests(cell: ResolvedCell, questions: Iterable[Question], m: int) -> list[Request]:
    """The first m draws for each of the questions."""
    return requests(questions, cell.data.prompt, m, cell.settings.teacher.seed)


def sample_store(cell: ResolvedCell, home: Home) -> SampleStore:
    """Where the cell's samples are."""
    return SampleStore(home.samples, cell.sampler, cell.settings.teacher.limit, bucket=home.bucket)


def read_answers(
    cell: ResolvedCell, home: Home, split: str, m: int, blank: bool = False
) -> list[list[Parsed]]:
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
    task, questions = cell.task, getattr(cell.splits, split)
    wanted = sample_requests(cell, split, m)
    stored = sample_store(cell, home).load(wanted)
    answers: dict[str, list[Parsed]] = {q.id: [] for q in questions}
    asked = {q.id: without_gold(q) if blank else q for q in questions}
    for request in wanted:
        sample = stored.get(request.key)
        if sample is not None:
            parsed = task.parse(sample.text, asked[request.question_id], sample.finish_reason)
            answers[request.question_id].append(replace(parsed, tokens=sample.tokens))
    missing = len(wanted) - sum(map(len, answers.values()))
    # Recorded answers may be fewer for some questions; a model that is asked answers all.
    if missing == len(wanted) or (missing and ENGINES[cell.settings.teacher.engine].draws):
        raise DataError(
            f"the store lacks {missing} of the {len(wanted)} samples for the {split} split of "
            f"{cell.settings.task.name}; `qcrd run` draws them before it trains"
        )
    return [answers[q.id] for q in questions]
