"""Dual rationales that the teacher is asked for, once its first answers are there (EDIT).

Of each question's first right rationale it makes a wrong one, and of its first wrong rationale a right one,
which it is told the answer for. What counts is what comes: a derailed rationale only where its answer is
wrong, a mended one only where it is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from qcrd.fingerprint import fingerprint
from qcrd.samples.requests import Request, requests
from qcrd.tasks.base import Task
from qcrd.tasks.duals import derail, mend
from qcrd.types import Prompt, Question, RationaleSet, Sample

MOST = 2  # requests a question
Pair = tuple[str, str]
"""A right and a wrong rationale of one question."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request for the other half of a dual."""

    number: int  # of the question among those trained on
    given: str  # the rationale that is to be changed
    right: bool  # whether it is right, so that a wrong one is asked for
    request: Request


def ask(task: Task, questions: Sequence[Question], sets: Sequence[RationaleSet], seed: int) -> list[Asked]:
    """At most `MOST` requests a question; none where it has no label.

    Args:
        task: of the questions.
        questions: as the training sees them.
        sets: what each offers; its label is told where a wrong rationale is to be mended.
        seed: the teacher's.
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
    """What came of it.

    Args:
        task: as for `ask`.
        questions: as for `ask`.
        sets: as for `ask`; right is what has the answer of their positives.
        asked: what it returned.
        answers: of the teacher, by the requests' keys.

    Returns:
        For each question the pairs that count, at most two; and how many rationales were to be derailed and
        mended, and how many of them (`derailed`, `mended`) were.
    """
    found: list[list[Pair]] = [[] for _ in questions]
    counts: dict[str, float] = {"to_derail": 0, "derailed": 0, "to_mend": 0, "mended": 0}
    for one in asked:
        question = questions[one.number]
        counts["to_derail" if one.right else "to_mend"] += 1
        sample = answers[one.request.key]
        parsed = task.parse(sample.text, question, sample.finish_reason)
        agrees = (
            parsed.answer == sets[one.number].answer
        )  # right as the given one was, which need not be gold
        if parsed.answer is None or not parsed.rationale or agrees == one.right:
            continue
        counts["derailed" if one.right else "mended"] += 1
        made = parsed.rationale
        found[one.number].append((one.given, made) if one.right else (made, one.given))
    return [tuple(group) for group in found], counts


def _request(question: Question, prompt: Prompt, seed: int) -> Request:
    [request] = requests([question], lambda _: prompt, 1, seed)
    return request


def prompts_fingerprint(task: Task, question: Question) -> str:
    """Short id of how duals are asked for, by the example of one question."""
    return fingerprint([prompt(task, question, "r", "l").text for prompt in (derail, mend)])
