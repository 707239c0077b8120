"""An LLM judge compares the rationales of two cells (section 5.4), with each pair in both orders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from qcrd.config import Teacher
from qcrd.fingerprint import fingerprint
from qcrd.judging import prompt
from qcrd.judging.cells import Explainer, common_questions
from qcrd.judging.rationales import rationales
from qcrd.judging.tally import Judged, Tally, tally
from qcrd.judging.verdict import Answer, read
from qcrd.samples.draw import Progress, draw
from qcrd.samples.requests import Request, SampleFn, requests
from qcrd.samples.store import Key, SampleStore
from qcrd.storage.home import Home
from qcrd.teacher.engines import sampler_identity
from qcrd.types import Prompt, Question, Sample

STOP = ()  # no stop strings: the verdict is at the end of an answer

OpenJudge = Callable[[Sequence[Request]], AbstractContextManager[SampleFn]]
"""Opens the judge's engine for the given requests."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Rationales of two cells' students for the same questions at one temperature."""

    a: Explainer
    b: Explainer
    tau: float  # sampling temperature of the students
    questions: Sequence[Question]
    rationales: Sequence[tuple[str, str]]  # (A's, B's) per question


@dataclass(frozen=True, slots=True)
class Ranking:
    """A comparison with the judge's verdicts."""

    comparison: Comparison
    judged: Sequence[Judged]  # one per question
    tally: Tally


def compare(a: Explainer, b: Explainer, taus: Iterable[float], n: int, seed: int) -> list[Comparison]:
    """Let both students write rationales for the same `n` test questions, once per temperature.

    Raises:
        DataError: if the cells do not have n test questions in common.
    """
    questions = common_questions(a, b, n, seed)
    return [
        Comparison(
            a,
            b,
            tau,
            questions,
            list(zip(rationales(a, questions, tau), rationales(b, questions, tau), strict=True)),
        )
        for tau in taus
    ]


def rank(
    comparisons: Sequence[Comparison],
    judge: Teacher,
    template: str,
    home: Home,
    open_judge: OpenJudge,
    progress: Progress,
) -> list[Ranking]:
    """Let the judge decide each pair in both orders, and count the verdicts.

    The judge's answers are stored with the teachers' samples, under the identity of its sampler, and reused
    in all comparisons.

    Args:
        comparisons: comparisons to judge.
        judge: model and sampling settings of the judge.
        template: of the prompt.
        home: where answers are stored.
        open_judge: opens the judge's engine; not called if all answers are stored.
        progress: reports the progress of drawing.
    """
    pairs = [_pairs(comparison, template, judge.seed) for comparison in comparisons]
    needed = [request for of_comparison in pairs for both in of_comparison if both for request in both]
    store = SampleStore(home.samples, sampler_identity(judge, STOP), judge.limit, bucket=home.bucket)
    if store.missing(needed):
        with open_judge(needed) as sample:
            draw(store, needed, sample, progress)
    stored = store.load(needed)
    rankings = []
    for comparison, of_comparison in zip(comparisons, pairs, strict=True):
        judged = [
            _judged(question, texts, both, stored)
            for question, texts, both in zip(
                comparison.questions, comparison.rationales, of_comparison, strict=True
            )
        ]
        rankings.append(Ranking(comparison, judged, tally(judged)))
    return rankings


def _pairs(comparison: Comparison, template: str, seed: int) -> list[tuple[Request, Request] | None]:
    """Per question the requests with A first and with B first; None if the rationales are the same."""
    task = comparison.a.cell.task

    def request(question: Question, first: str, second: str) -> Request:
        return _request(prompt.prompt(template, task, question, first, second), question, seed)

    return [
        None if _same(a, b) else (request(q, a, b), request(q, b, a))
        for q, (a, b) in zip(comparison.questions, comparison.rationales, strict=True)
    ]


def _request(prompt: Prompt, question: Question, seed: int) -> Request:
    """The question id includes the prompt's fingerprint, so that recorded answers match a single order."""
    ordered = Question(f"{question.id}:{fingerprint(prompt.text)}", question.text, question.label)
    return requests([ordered], lambda _: prompt, 1, seed)[0]


def _same(a: str, b: str) -> bool:
    return a.split() == b.split()


def _judged(
    question: Question,
    rationales: tuple[str, str],
    both: tuple[Request, Request] | None,
    stored: dict[Key, Sample],
) -> Judged:
    a, b = rationales
    if both is None:
        return Judged(question.id, a, b)
    ab, ba = (stored.get(request.key) for request in both)
    return Judged(
        question.id,
        a,
        b,
        shown_ab=_read(ab),
        shown_ba=_read(ba),
        texts=(ab.text if ab else None, ba.text if ba else None),
        prompts=(both[0].prompt_id, both[1].prompt_id),
    )


def _read(sample: Sample | None) -> Answer:
    return read(sample.text, sample.finish_reason) if sample else read(None)
