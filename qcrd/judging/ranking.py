"""An LLM ranks the rationales of two cells (section 5.4), asked about each pair in both orders."""

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

STOP = ()  # strings at which an answer ends: none, the verdict stands at its end

Asking = Callable[[Sequence[Request]], AbstractContextManager[SampleFn]]
"""Makes ready whom to ask, given all that he will be asked."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """What two cells' students wrote about the same questions at one temperature."""

    a: Explainer
    b: Explainer
    tau: float
    questions: Sequence[Question]
    rationales: Sequence[tuple[str, str]]  # A's and B's for each question


@dataclass(frozen=True, slots=True)
class Ranking:
    """A comparison as the judge saw it."""

    comparison: Comparison
    judged: Sequence[Judged]  # one for each question
    tally: Tally


def compare(a: Explainer, b: Explainer, taus: Iterable[float], n: int, seed: int) -> list[Comparison]:
    """Let both students explain the same `n` test questions, once for each temperature.

    Raises:
        DataError: where the cells have no such questions in common.
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
    asking: Asking,
    progress: Progress,
) -> list[Ranking]:
    """Have the judge answer what is not stored yet, and count.

    Its answers are kept with the teachers' samples, under the identity of its sampler: what has been asked
    once, in this or any other comparison, is not asked again.

    Args:
        comparisons: what to judge.
        judge: who judges, and how it is sampled.
        template: of the prompt.
        home: where answers are kept.
        asking: makes the judge ready; not called where nothing is missing.
        progress: told how far it is.
    """
    pairs = [_pairs(comparison, template, judge.seed) for comparison in comparisons]
    asked = [request for found in pairs for both in found if both for request in both]
    store = SampleStore(home.samples, sampler_identity(judge, STOP), judge.limit, bucket=home.bucket)
    if store.missing(asked):
        with asking(asked) as sample:
            draw(store, asked, sample, progress)
    stored = store.load(asked)
    rankings = []
    for comparison, found in zip(comparisons, pairs, strict=True):
        judged = [
            _judged(question, texts, both, stored)
            for question, texts, both in zip(comparison.questions, comparison.rationales, found, strict=True)
        ]
        rankings.append(Ranking(comparison, judged, tally(judged)))
    return rankings


def _pairs(comparison: Comparison, template: str, seed: int) -> list[tuple[Request, Request] | None]:
    """For each question the requests with A first and with B first; None where both are the same."""
    task = comparison.a.cell.task

    def request(question: Question, first: str, second: str) -> Request:
        return _request(prompt.prompt(template, task, question, first, second), question, seed)

    return [
        None if _same(a, b) else (request(q, a, b), request(q, b, a))
        for q, (a, b) in zip(comparison.questions, comparison.rationales, strict=True)
    ]


def _request(asked: Prompt, question: Question, seed: int) -> Request:
    """The id holds the prompt's, so that recorded answers are found for this pair in this order alone."""
    whole = Question(f"{question.id}:{fingerprint(asked.text)}", question.text, question.label)
    return requests([whole], lambda _: asked, 1, seed)[0]


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
