"""Votes on a teacher's answers, and the sets of positive and negative rationales of training questions."""

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
    """Positive and negative rationales of a training question, and its label.

    If labels are the teacher's, the question's gold label is not used.

    Args:
        cell: the cell, which defines labels and denoising.
        question: a training question.
        answers: its answers, from `read_answers`; empty if the cell reads none.
        result: the vote on the answers.
    """
    gold = None
    if not cell.from_teacher:
        gold = question.label, cell.task.answer(question.label, question)
    return build_set(result, answers, cell.settings.rationales.labels, cell.denoise, gold, cell.unread)
