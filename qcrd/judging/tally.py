"""The figures of one comparison: how often which side was better, and how far the judge is to be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qcrd.judging.verdict import Answer, Verdict, cell, verdict
from qcrd.report.statistics import mcnemar, wilson


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's pair of rationales, and what the judge said about both orders."""

    question_id: str
    a: str  # rationales
    b: str
    shown_ab: Answer | None = None  # None where the rationales are the same, which nobody was asked about
    shown_ba: Answer | None = None
    texts: tuple[str | None, str | None] = (None, None)  # the raw answers
    prompts: tuple[str | None, str | None] = (None, None)  # ids under which they are stored

    @property
    def verdict(self) -> Verdict | None:
        """Which is better; None where an answer could not be read."""
        if self.shown_ab is None or self.shown_ba is None:
            return "both"
        return verdict(self.shown_ab, self.shown_ba)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95% interval (Wilson), all between 0 and 1."""

    share: float
    low: float
    high: float
    n: int  # of independent trials that the interval is for

    @classmethod
    def of(cls, part: int, whole: int, n: int | None = None) -> Share | None:
        """`part` of `whole`, which are `n` independent trials (None: `whole`); None where `whole` is 0."""
        if not whole:
            return None
        n = n or whole
        return cls(part / whole, *wilson(part / whole, n), n)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of questions, and what they mean."""

    questions: int
    a: int  # A's rationale is better, whichever was shown first
    both: int  # the two orders contradict each other or one says both, or the rationales are the same
    b: int
    unread: int  # at least one of the two answers could not be read
    identical: int  # of `both`: the same rationale, so that the judge was not asked
    b_share: Share | None  # of B among the questions that were decided; None where none was
    p: float  # sign test, two-sided: that A and B are equally often better
    shown_first: Share | None  # how often the explanation shown first was chosen, where one was
    consistent: Share | None  # pairs whose two orders agree, of those whose answers could both be read
    unreadable: dict[str, int]  # answers by the reason why they could not be read


def tally(judged: Sequence[Judged]) -> Tally:
    """Count one comparison.

    The interval of `shown_first` is for as many trials as pairs, not answers, since the judge's two answers
    about a pair are not independent of each other.
    """
    counts = Counter(each.verdict for each in judged)
    asked = [(each.shown_ab, each.shown_ba) for each in judged if each.shown_ab and each.shown_ba]
    answers = [answer for pair in asked for answer in pair]
    chose = Counter(answer.choice for answer in answers)
    pairs = sum(any(answer.choice in ("1", "2") for answer in pair) for pair in asked)
    read = [(cell(ab, "ab"), cell(ba, "ba")) for ab, ba in asked if ab.choice and ba.choice]
    agree = sum(ab == ba for ab, ba in read)
    return Tally(
        questions=len(judged),
        a=counts["a"],
        both=counts["both"],
        b=counts["b"],
        unread=counts[None],
        identical=len(judged) - len(asked),
        b_share=Share.of(counts["b"], counts["a"] + counts["b"]),
        p=mcnemar(counts["a"], counts["b"]),
        shown_first=Share.of(chose["1"], chose["1"] + chose["2"], pairs),
        consistent=Share.of(agree, len(read)),
        unreadable=dict(sorted(Counter(answer.reason for answer in answers if answer.reason).items())),
    )
