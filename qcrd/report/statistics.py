"""Confidence intervals of accuracies, McNemar's exact test, and minimum detectable differences."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal

from qcrd.report.distributions import (
    beta_quantile,
    chi2_quantile,
    coin_cdf,
    coin_threshold,
    normal_cdf,
    normal_quantile,
    t_quantile,
)

CONFIDENCE = 0.95
LEVEL = 0.05  # significance level
POWER = 0.8  # power at which a difference counts as detectable
PRECISION = 1e-8  # of a detectable difference, in standard errors


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean accuracy with its 95% interval, in percent."""

    mean: float
    low: float
    high: float
    n: int  # number of seeds
    over: Literal["seeds", "questions"]  # units of the sampling variation

    @property
    def margin_of_error(self) -> float:
        """Larger distance from the mean to an end of the interval, in points; intervals may be asymmetric."""
        return max(self.high - self.mean, self.mean - self.low)

    def __str__(self) -> str:
        """Mean and margin: `40.4 ± 1.3`; the interval where a margin would go beyond 0 or 100."""
        margin = self.margin_of_error
        if self.mean - margin >= 0 and self.mean + margin <= 100:
            return f"{self.mean:.1f} ± {margin:.1f}"
        return f"{self.mean:.1f} ({max(0.0, self.low):.1f} to {min(100.0, self.high):.1f})"


def accuracy(percents: Sequence[float], questions: int) -> Estimate:
    """Mean accuracy over seeds, with an interval over seeds, or over questions if there is one seed.

    The interval over seeds (Student's t) does not include the variation of test questions, and the interval
    over questions (Wilson) does not include that of seeds.

    Args:
        percents: accuracy of each seed, in percent.
        questions: number of test questions, the same for all seeds.

    Raises:
        ValueError: if `percents` is empty.
    """
    import numpy as np

    if not percents:
        raise ValueError("no accuracy given: a mean needs at least one seed")
    if len(percents) == 1:
        return share_of_questions(percents[0], questions)
    n = len(percents)
    mean = fmean(percents)
    deviation = float(np.std(percents, ddof=1))
    half = t_quantile((1 + CONFIDENCE) / 2, n - 1) * deviation / math.sqrt(n)
    return Estimate(mean, mean - half, mean + half, n, "seeds")


def share_of_questions(percent: float, questions: int) -> Estimate:
    """One accuracy in percent, with Wilson's interval over questions."""
    low, high = wilson(percent / 100, questions)
    return Estimate(percent, 100 * low, 100 * high, 1, "questions")


def wilson(share: float, n: int) -> tuple[float, float]:
    """95% score interval of a proportion of `n` independent questions (Wilson 1927), within 0 and 1.

    Raises:
        ValueError: for a share outside 0..1 or no questions.
    """
    if not 0 <= share <= 1 or n < 1:
        raise ValueError(f"share is {share} of n {n}; allowed: 0 <= share <= 1 and n >= 1")
    z = normal_quantile((1 + CONFIDENCE) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return max(0.0, min(centre - half, share)), min(
        1.0, max(centre + half, share)
    )  # rounding must not exclude the share itself


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided p of McNemar's exact test (1947, binomial form) for two systems on the same questions.

    Args:
        only_first: questions that only the first system answered correctly.
        only_second: questions that only the second system answered correctly.
    """
    if only_first + only_second == 0:
        return 1.0
    return min(1.0, 2 * coin_cdf(min(only_first, only_second), only_first + only_second))


def detectable(error: float, freedom: float) -> float | None:
    """Smallest true difference that a two-sided t-test at `LEVEL` finds with probability `POWER`.

    For a difference d with standard error s, the statistic T = d / s has a noncentral t distribution with
    noncentrality D / s, where D is the true difference. The power is P(|T| > t_(1 - LEVEL/2)). This solves
    for the D with power `POWER`; for many degrees of freedom it is (1.96 + 0.84) s. The standard error is an
    estimate itself: with three seeds per side it is off by more than a third in 35% of cases.

    Args:
        error: standard error of the difference; the result has the same unit.
        freedom: degrees of freedom of the standard error.

    Returns:
        The difference; None if the error is 0 or not finite.
    """
    import numpy as np

    if not 0 < error < math.inf:
        return None
    edge = t_quantile(1 - LEVEL / 2, freedom)
    # scipy's noncentral t gives NaN for few degrees of freedom; average over the quantiles of s instead.
    quantiles = (np.arange(1000) + 0.5) / 1000
    edges = edge * np.sqrt(chi2_quantile(quantiles, freedom) / freedom)

    def excess_power(shift: float) -> float:
        return float(np.mean(normal_cdf(shift - edges) + normal_cdf(-shift - edges))) - POWER

    low, high = 0.0, 3 * edge + 3
    while high - low > PRECISION:  # by halves; importing scipy's root finders takes longer
        middle = (low + high) / 2
        low, high = (low, middle) if excess_power(middle) > 0 else (middle, high)
    return error * (low + high) / 2


def detectable_pairs(discordant: int, questions: int) -> float | None:
    """Smallest true difference of two students' accuracies that McNemar's exact test finds.

    Of D discordant questions (correct for exactly one student), the number correct for the better student is
    binomial(D, w). The test needs at least k of them, with k the smallest number for which
    2 P(X >= k | 1/2) <= LEVEL. P(X >= k | w) is a regularised incomplete beta function, so w is a quantile
    of beta(k, D - k + 1). The difference of the accuracies is (2 w - 1) D / questions.

    Args:
        discordant: number D of discordant questions.
        questions: number of all questions.

    Returns:
        The difference, 0 to 1; None if D is too small (5 or less) for significance.
    """
    least = coin_threshold(LEVEL / 2, discordant) + 1
    if least > discordant:
        return None
    better = beta_quantile(POWER, least, discordant - least + 1)
    return (2 * better - 1) * discordant / questions
