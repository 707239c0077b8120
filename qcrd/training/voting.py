"""Self-consistency at test time: the majority of several sampled answers of the student (maj@n)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import torch

from qcrd import config
from qcrd.rationales.vote import vote
from qcrd.seeds import derive
from qcrd.training.evaluate import Evaluator
from qcrd.types import Parsed, Prediction, Question


@dataclass(frozen=True, slots=True)
class Voted:
    """The majority answers to some questions."""

    predictions: list[Prediction]  # one per question; the text is the winning label, "" if there is none
    statistics: dict[str, float]
    """In percent, votes/single: mean accuracy of one answer; votes/agreement: mean share of the winner
    among the votes; votes/unread: answers without a readable label. votes/ties: number of questions."""


def majority(evaluator: Evaluator, settings: config.Evaluation, seed: int) -> Voted:
    """Sample `settings.votes` answers to each question of an evaluator, and take the most frequent one.

    Answers vote by their canonical form; those that cannot be read do not vote, and ties are won by the first
    sampled, as in the vote over the teacher's samples (`rationales.vote`).

    Args:
        evaluator: questions and student.
        settings: number of votes, and how they are sampled.
        seed: seed of the cell.
    """
    student, task = evaluator.student, evaluator.task
    draws = settings.votes or 1
    generator = torch.Generator(student.device).manual_seed(derive(seed, "votes"))
    answers = student.generate(
        evaluator.inputs,
        evaluator.limit,
        settings.temperature,
        generator,
        draws,
        top_k=settings.top_k,
        top_p=settings.top_p,
    )
    predictions: list[Prediction] = []
    single: list[float] = []
    shares: list[float] = []
    ties = unread = 0
    for number, question in enumerate(evaluator.questions):
        group = answers[number * draws : (number + 1) * draws]
        parsed = [_parsed(evaluator, question, student.text(tokens)) for tokens in group]
        right = [p.label is not None and task.correct(p.label, question) for p in parsed]
        result = vote(question.id, parsed)
        winner = result.label or ""
        correct = result.label is not None and task.correct(result.label, question)
        predictions.append(Prediction(question.id, winner, question.label, correct))
        single.append(100 * fmean(right))
        if result.candidates:
            shares.append(100 * result.votes / result.candidates)
        ties += result.tie
        unread += draws - result.candidates
    return Voted(
        predictions,
        {
            "votes/single": _mean(single),
            "votes/agreement": _mean(shares),
            "votes/ties": ties,
            "votes/unread": 100 * unread / max(1, draws * len(predictions)),
        },
    )


def _parsed(evaluator: Evaluator, question: Question, text: str) -> Parsed:
    """A sampled answer: a sequence is read as the teacher's are, a label is taken as it is."""
    if evaluator.sequence:
        return evaluator.task.parse(text, question)
    return Parsed(None, text, evaluator.task.answer(text, question))


def _mean(values: Sequence[float]) -> float:
    return fmean(values) if values else 0.0
