"""Rank correlation between our accuracies and the paper's over the same settings."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, sqrt
from typing import TYPE_CHECKING

from qcrd.report.statistics import LEVEL

if TYPE_CHECKING:
    import numpy as np

_EXACT = 8  # largest number of settings for which all orders are enumerated (40,320)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's rank correlation of the settings' accuracies here and in the paper."""

    group: str  # the section of the table
    tau: float | None  # tau-b: 1 is the same order, -1 the reverse; None if all values of one side are equal
    p: float | None  # two-sided; the null hypothesis is that the orders are unrelated
    n: int  # number of settings
    least_p: float | None  # smallest p that n settings can give

    def __str__(self) -> str:
        start = f"{self.group}: order" if self.group else "Order"
        if self.tau is None or self.p is None:
            return (
                f"{start} of the {self.n} settings against the paper's: undefined, all values of one side "
                "are equal"
            )
        text = (
            f"{start} of the {self.n} settings against the paper's: Kendall's tau-b {self.tau:+.2f} "
            f"(p {self.p:.3f}), {_words(self.tau)}"
        )
        if self.least_p is not None and self.least_p >= LEVEL:
            return f"{text}; with {self.n} settings even the same order would have p {self.least_p:.3f}"
        return f"{text}; {'more than chance' if self.p < LEVEL else 'no evidence of more than chance'}"


def _words(tau: float) -> str:
    """Verbal description of a correlation."""
    if abs(tau) > 0.999:
        return "the same order" if tau > 0 else "the reverse order"
    if abs(tau) < 0.2:
        return "hardly related"
    return "more alike than not" if tau > 0 else "more reversed than not"


def agreement(group: str, ours: Sequence[float], papers: Sequence[float]) -> Agreement:
    """Kendall's tau-b (1945) of two lists of accuracies for the same settings.

    p is the share of all orders of `ours` whose concordance with `papers` is at least as far from 0, with
    ties kept. Without ties it equals scipy's. With ties, scipy's is an approximation for many settings, so it
    is used for more than `_EXACT` settings only.

    Args:
        group: section of the table.
        ours: our accuracies.
        papers: the paper's, in the same order.

    Raises:
        ValueError: for fewer than two settings, or lists of different lengths.
    """
    import numpy as np

    if len(ours) != len(papers) or len(ours) < 2:
        raise ValueError(
            f"{len(ours)} and {len(papers)} figures; allowed: two lists of the same length, at least 2"
        )
    n = len(ours)
    if n > _EXACT:
        from scipy import stats  # takes long to import

        result = stats.kendalltau(ours, papers)
        tau, p = float(result.statistic), float(result.pvalue)
        return Agreement(group, None, None, n, None) if isnan(tau) else Agreement(group, tau, p, n, None)
    signed = int(_concordance(np.asarray(ours)[None], np.asarray(papers))[0])
    untied = [sum(a != b for a, b in itertools.combinations(side, 2)) for side in (ours, papers)]
    if not all(untied):
        return Agreement(group, None, None, n, None)
    tau = signed / sqrt(untied[0] * untied[1])
    orders = np.array(list(itertools.permutations(range(n))))
    scores = np.abs(_concordance(np.asarray(ours)[orders], np.asarray(papers)))
    score = abs(signed)
    return Agreement(group, tau, float((scores >= score).mean()), n, float((scores == scores.max()).mean()))


def _concordance(orders: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Number of concordant minus number of discordant pairs of each row.

    Shapes: `orders` [R, n], `other` [n], result [R].
    """
    import numpy as np

    pairs = itertools.combinations(range(len(other)), 2)
    score: np.ndarray = sum(
        np.sign(orders[:, i] - orders[:, j]) * np.sign(other[i] - other[j]) for i, j in pairs
    )
    return score
