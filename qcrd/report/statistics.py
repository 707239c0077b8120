"""How sure an accuracy is, the exact test of two systems on the same questions, and what tests can detect.

scipy is imported by the functions that compute with it: a table without results need not wait for it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

CONFIDENCE = 0.95
LEVEL = 0.05  # a p from here up is no evidence of a difference
POWER = 0.8  # chance of finding a difference, at which it counts as detectable


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean accuracy with its 95% interval, in percent."""

    mean: float
    low: float
    high: float
    n: int  # seeds that the mean is over
    over: Literal["seeds", "questions"]  # what would be drawn anew: other seeds, or other test questions

    @property
    def reach(self) -> float:
        """Points from the mean to the farther end of the interval, which need not be in its middle."""
        return max(self.high - self.mean, self.mean - self.low)


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
    import numpy as np
    from scipy import stats

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
    from scipy import stats

    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"share is {share} of n {n}; allowed: 0 <= share <= 1 and n >= 1")
    z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share))  # rounding aside


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p that neither of two systems is better (McNemar 1947, binomial form).

    Args:
        only_first: questions that only the first answered rightly.
        only_second: questions that only the second answered rightly.
    """
    from scipy import stats

    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second, 0.5).pvalue)


def detectable(error: float, freedom: float) -> float | None:
    """Smallest true difference that a two-sided t-test at `LEVEL` finds with probability `POWER`.

    The statistic T = d / s of a difference d with standard error s is a noncentral t with noncentrality
    D / s where D is the true difference; the power is P(|T| > t_(1 - LEVEL/2)) at that noncentrality. The
    D of power `POWER` is found by bisection; for many degrees of freedom it is (1.96 + 0.84) s. The error is
    an estimate itself: from three seeds a side alone it is off by more than a third in 35% of cases.

    Args:
        error: standard error of the difference, in any unit, which the result has too.
        freedom: its degrees of freedom.

    Returns:
        None where the error is 0 or not finite: then nothing is known about it.
    """
    import numpy as np
    from scipy import optimize, stats

    if not 0 < error < math.inf:
        return None
    edge = float(stats.t.ppf(1 - LEVEL / 2, freedom))
    # scipy's noncentral t gives NaN for few degrees of freedom, so: the mean over s, by its quantiles.
    quantiles = (np.arange(1000) + 0.5) / 1000
    edges = edge * np.sqrt(stats.chi2.ppf(quantiles, freedom) / freedom)

    def lacking(shift: float) -> float:
        return float(np.mean(stats.norm.cdf(shift - edges) + stats.norm.cdf(-shift - edges))) - POWER

    return error * float(optimize.brentq(lacking, 0.0, 3 * edge + 3, xtol=1e-6))


def detectable_pairs(discordant: int, questions: int) -> float | None:
    """Smallest true difference of two students' shares that McNemar's exact test finds, as in `detectable`.

    Given that D questions are answered rightly by one of the two alone, those of the better one are
    binomial(D, w). The test needs at least k of them, the least k with 2 P(X >= k | 1/2) <= LEVEL, and
    P(X >= k | w) is a regularised incomplete beta function, so that w is a quantile of beta(k, D - k + 1).
    The difference of the shares is (2 w - 1) D / questions.

    Returns:
        A share of the questions; None where D is so small (5 and less) that even all of them are no evidence.
    """
    from scipy import stats

    least = int(stats.binom.isf(LEVEL / 2, discordant, 0.5)) + 1
    if least > discordant:
        return None
    better = float(stats.beta.ppf(POWER, least, discordant - least + 1))
    return (2 * better - 1) * discordant / questions
