"""Statistics of one comparison: how often each side was better, and how consistent the judge is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from qcrd.judging.verdict import Answer, Verdict, cell, verdict
from qcrd.report.statistics import mcnemar, wilson


@dataclass(frozen=True, slots=True)
class Judged:
    """One question's pair of rationales, and the judge's answers for both orders."""

    question_id: str
    a: str  # A's rationale
    b: str  # B's rationale
    shown_ab: Answer | None = None  # None if the rationales are the same, so that the judge was not asked
    shown_ba: Answer | None = None
    texts: tuple[str | None, str | None] = (None, None)  # the raw answers
    prompts: tuple[str | None, str | None] = (None, None)  # ids under which they are stored

    @property
    def verdict(self) -> Verdict | None:
        """The better side; None if an answer could not be parsed."""
        if self.shown_ab is None or self.shown_ba is None:
            return "both"
        return verdict(self.shown_ab, self.shown_ba)


@dataclass(frozen=True, slots=True)
class Share:
    """A share with its 95% interval (Wilson), all between 0 and 1."""

    share: float
    low: float
    high: float
    n: int  # number of independent trials behind the interval

    @classmethod
    def of(cls, part: int, whole: int, n: int | None = None) -> Share | None:
        """The share `part` / `whole`; None if `whole` is 0.

        Args:
            part: count of successes.
            whole: count of observations.
            n: number of independent trials; None means `whole`.
        """
        if not whole:
            return None
        n = n or whole
        return cls(part / whole, *wilson(part / whole, n), n)


@dataclass(frozen=True, slots=True)
class Tally:
    """Counts of questions and statistics of a comparison."""

    questions: int
    a: int  # A's rationale is better in both orders
    both: int  # the two orders contradict each other, an answer is "both", or the rationales are the same
    b: int  # B's rationale is better in both orders
    unread: int  # at least one of the two answers could not be parsed
    identical: int  # subset of `both`: same rationale, so that the judge was not asked
    b_share: Share | None  # share of B among the decided questions; None if there are none
    p: float  # two-sided sign test of the hypothesis that A and B are equally often better
    shown_first: Share | None  # how often the explanation shown first was chosen, if one was chosen
    consistent: Share | None  # pairs whose two orders agree, among pairs with two parsed answers
    unreadable: dict[str, int]  # number of unparsed answers by reason


def tally(judged: Sequence[Judged]) -> Tally:
    """Compute the statistics of one comparison.

    The interval of `shown_first` uses the number of pairs, not answers, as the number of trials, since the
    judge's two answers about a pair are not independent.
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
