"""From a cell's answers to what its questions offer for training: votes, and positives and negatives."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd.cell.resolved import ResolvedCell
from qcrd.rationales.sets import build_set
from qcrd.rationales.vote import vote
from qcrd.types import Parsed, Question, RationaleSet, Vote


def votes(questions: Sequence[Question], answers: Sequence[Sequence[Parsed]]) -> list[Vote]:
    """The vote on each question's answers."""
    return [vote(question.id, parsed) for question, parsed in zip(questions, answers, strict=True)]


def rationale_set(
    cell: ResolvedCell, question: Question, answers: Sequence[Parsed], result: Vote
) -> RationaleSet:
    """What a training question offers the cell.

    Where labels are the teacher's, the question's gold label is not looked at.

    Args:
        cell: whose labels and denoising count.
        question: a training question.
        answers: to it, as `read_answers` reads them; empty where the cell reads none.
        result: the vote on them.
    """
    gold = None
    if not cell.from_teacher:
        gold = question.label, cell.task.answer(question.label, question)
    return build_set(result, answers, cell.settings.rationales.labels, cell.denoise, gold, cell.unread)
