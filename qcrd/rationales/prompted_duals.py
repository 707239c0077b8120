"""Prompted duals: the teacher generates the counterpart of its own rationales (EDIT).

The teacher is asked to derail the first correct rationale of each question into a wrong one, and to mend the
first wrong rationale into a correct one, given the correct answer. A derailed rationale is only used if its
answer is wrong, a mended one only if its answer is correct.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from qcrd.fingerprint import fingerprint
from qcrd.samples.requests import Request, requests
from qcrd.tasks.base import Task
from qcrd.tasks.duals import derail, mend
from qcrd.types import Prompt, Question, RationaleSet, Sample

MOST = 2  # maximum requests per question


class Pair(NamedTuple):
    """A correct and a wrong rationale of one question."""

    right: str
    wrong: str
    wrong_label: str | None  # that the wrong one leads to; None: it could not be parsed


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for the counterpart of a rationale."""

    number: int  # index of the question in the training set
    given: str  # the rationale to modify
    right: bool  # whether it is correct, so that a wrong one is requested
    request: Request


def ask(task: Task, questions: Sequence[Question], sets: Sequence[RationaleSet], seed: int) -> list[Asked]:
    """Create at most `MOST` requests per question; none for questions without a label.

    Args:
        task: the task.
        questions: training questions.
        sets: rationale set of each question; its label is part of the prompt that mends a wrong rationale.
        seed: the teacher's seed.
    """
    asked = []
    for number, (question, group) in enumerate(zip(questions, sets, strict=True)):
        if group.label is None:
            continue
        for right, prompt, given in ((True, derail, group.positives), (False, mend, group.negatives)):
            if given:
                made = prompt(task, question, given[0], group.label)
                asked.append(Asked(number, given[0], right, _request(question, made, seed)))
    return asked


def pairs(
    task: Task,
    questions: Sequence[Question],
    sets: Sequence[RationaleSet],
    asked: Sequence[Asked],
    answers: Mapping[tuple[str, int], Sample],
) -> tuple[list[tuple[Pair, ...]], dict[str, float]]:
    """Build pairs from the teacher's answers to the requests of `ask`.

    Args:
        task: as for `ask`.
        questions: as for `ask`.
        sets: as for `ask`; an answer is correct if it equals the answer of the positives.
        asked: the result of `ask`.
        answers: the teacher's answers by the requests' keys.

    Returns:
        The valid pairs of each question, at most two; and counts of requests (`to_derail`, `to_mend`) and of
        valid answers (`derailed`, `mended`).
    """
    by_question: list[list[Pair]] = [[] for _ in questions]
    counts: dict[str, float] = {"to_derail": 0, "derailed": 0, "to_mend": 0, "mended": 0}
    for dual_request in asked:
        question, given = questions[dual_request.number], dual_request.given
        counts["to_derail" if dual_request.right else "to_mend"] += 1
        sample = answers[dual_request.request.key]
        parsed = task.parse(sample.text, question, sample.finish_reason)
        # Compared with the answer of the positives, which need not be the gold answer.
        correct = parsed.answer == sets[dual_request.number].answer
        if parsed.answer is None or not parsed.rationale or correct == dual_request.right:
            continue
        counts["derailed" if dual_request.right else "mended"] += 1
        if dual_request.right:
            pair = Pair(given, parsed.rationale, parsed.label)
        else:
            labels = sets[dual_request.number].negative_labels
            pair = Pair(parsed.rationale, given, labels[0] if labels else None)
        by_question[dual_request.number].append(pair)
    return [tuple(group) for group in by_question], counts


def _request(question: Question, prompt: Prompt, seed: int) -> Request:
    [request] = requests([question], lambda _: prompt, 1, seed)
    return request


def prompts_fingerprint(task: Task, question: Question) -> str:
    """Fingerprint of the prompts for duals, computed for one example question."""
    return fingerprint([prompt(task, question, "r", "l").text for prompt in (derail, mend)])
