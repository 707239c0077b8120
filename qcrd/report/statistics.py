"""How sure an accuracy and a difference between two are."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

import numpy as np
from scipy import stats

from qcrd.types import Prediction

CONFIDENCE = 0.95
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean accuracy with its 95% interval, in percent."""

    mean: float
    low: float
    high: float
    n: int  # seeds that the mean is over
    over: Literal["seeds", "questions"]  # what would be drawn anew: other seeds, or other test questions

    @property
    def half(self) -> float:
        """Half the interval's width, in points."""
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of one set of predictions minus another's on the same questions."""

    points: float
    low: float  # 95% interval, in points, by paired bootstrap over the questions
    high: float
    p: float  # two-sided, for no difference
    test: Literal["McNemar", "bootstrap"]  # where p is from
    questions: int


def accuracy(percents: Sequence[float], questions: int) -> Estimate:
    """Mean of the seeds' accuracies; the interval is over the seeds, or over the questions with one seed.

    Neither interval holds the other's variation: that over seeds says what other seeds would give on
    the same test questions.

    Args:
        percents: accuracy of each seed, in percent.
        questions: number of test questions, the same for all seeds.

    Raises:
        ValueError: without any accuracy.
    """
    if not percents:
        raise ValueError("no accuracy given: a mean needs at least one seed")
    if len(percents) == 1:
        return share_of_questions(percents[0], questions)
    n = len(percents)
    mean = fmean(percents)
    deviation = float(np.std(percents, ddof=1))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, "seeds")


def share_of_questions(percent: float, questions: int) -> Estimate:
    """One accuracy, with its interval over the questions."""
    low, high = wilson(percent / 100, questions)
    return Estimate(percent, 100 * low, 100 * high, 1, "questions")


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% score interval of a share of `n` independent questions (Wilson 1927), within 0 and 1.

    Raises:
        ValueError: for a share outside 0..1 or no questions.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"share is {share} of n {n}; allowed: 0 <= share <= 1 and n >= 1")
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p that neither of two systems is better (McNemar 1947, binomial form).

    Args:
        only_first: questions that only the first answered rightly.
        only_second: questions that only the second answered rightly.
    """
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def compare(
    first: Sequence[Sequence[Prediction]], second: Sequence[Sequence[Prediction]], seed: int = 0
) -> Difference:
    """First minus second, paired by question; a question counts by its share of right seeds.

    With one seed each, p is McNemar's; else it is from the bootstrap, where questions are drawn anew
    and the seeds are taken as they are.

    Args:
        first, second: one list of predictions a seed; all lists answer the same questions.
        seed: of the resampling.

    Raises:
        ValueError: where there are no predictions or the questions differ.
    """
    shares = [_share_of_right_seeds(side) for side in (first, second)]
    if shares[0].keys() != shares[1].keys():
        raise ValueError("the two sets of predictions answer different questions, so they cannot be paired")
    differences = np.array([share - shares[1][question] for question, share in shares[0].items()])
    means = _resampled_means(differences, seed)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    if len(first) == len(second) == 1:
        test, p = "McNemar", mcnemar(int((differences > 0).sum()), int((differences < 0).sum()))
    else:
        tail = min((means <= 0).sum(), (means >= 0).sum())
        test, p = "bootstrap", min(1.0, 2 * (tail + 1) / (RESAMPLES + 1))
    points = 100 * float(differences.mean())
    return Difference(points, 100 * float(low), 100 * float(high), float(p), test, len(differences))


def _share_of_right_seeds(seeds: Sequence[Sequence[Prediction]]) -> dict[str, float]:
    if not seeds or not seeds[0]:
        raise ValueError("no predictions given: a comparison needs at least one seed and one question")
    right = [{prediction.question_id: prediction.correct for prediction in seed} for seed in seeds]
    if any(seed.keys() != right[0].keys() for seed in right):
        raise ValueError("the seeds answer different questions, so they cannot be paired")
    return {question: fmean(seed[question] for seed in right) for question in right[0]}


def _resampled_means(values: np.ndarray, seed: int) -> np.ndarray:
    """Means of RESAMPLES draws with replacement of as many values. Shape: (RESAMPLES,)."""
    # few values are distinct, and how often each is drawn is multinomial: no index matrix is needed
    distinct, counts = np.unique(np.round(values, 12), return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(values), counts / len(values), size=RESAMPLES)
    return drawn @ distinct / len(values)
