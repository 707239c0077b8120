"""How far our order of some settings is the paper's."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan
from typing import TYPE_CHECKING

from qcrd.report.statistics import LEVEL

if TYPE_CHECKING:
    import numpy as np

_MOST = 8  # settings whose orders are all gone through (40,320)


@dataclass(frozen=True, slots=True)
class Agreement:
    """Kendall's rank correlation of the settings' accuracies here and in the paper."""

    group: str  # the section of the table
    tau: float | None  # tau-b: 1 is the same order, -1 the reverse; None where one side is all ties
    p: float | None  # two-sided, for no relation
    n: int  # settings
    least_p: float | None  # what the most perfect agreement of so many would have

    def __str__(self) -> str:
        start = f"{self.group}: order" if self.group else "Order"
        if self.tau is None or self.p is None:
            return f"{start} of the {self.n} settings against the paper's: all alike on one side, no order"
        said = (
            f"{start} of the {self.n} settings against the paper's: Kendall's tau-b {self.tau:+.2f} "
            f"(p {self.p:.3f}), {_words(self.tau)}"
        )
        if self.least_p is not None and self.least_p >= LEVEL:
            return f"{said}; with {self.n} settings even the same order would have p {self.least_p:.3f}"
        return f"{said}; {'more than chance' if self.p < LEVEL else 'no evidence of more than chance'}"


def _words(tau: float) -> str:
    if abs(tau) > 0.999:
        return "the same order" if tau > 0 else "the reverse order"
    if abs(tau) < 0.2:
        return "hardly related"
    return "more alike than not" if tau > 0 else "more reversed than not"


def agreement(group: str, ours: Sequence[float], papers: Sequence[float]) -> Agreement:
    """Kendall's tau-b (1945) of two lists of figures for the same settings.

    p counts the orders that are at least as like or unlike, ties where they are; scipy's without ties is the
    same, and with ties only holds for many settings, so it is taken for more than `_MOST`.

    Raises:
        ValueError: for fewer than two settings.
    """
    import numpy as np
    from scipy import stats

    if len(ours) != len(papers) or len(ours) < 2:
        raise ValueError(f"{len(ours)} and {len(papers)} figures; allowed: as many of both, and at least two")
    found = stats.kendalltau(ours, papers)
    tau, n = float(found.statistic), len(ours)
    if isnan(tau):
        return Agreement(group, None, None, n, None)
    if n > _MOST:
        return Agreement(group, tau, float(found.pvalue), n, None)
    orders = np.array(list(itertools.permutations(range(n))))
    scores = np.abs(_concordance(np.asarray(ours)[orders], np.asarray(papers)))
    own = abs(int(_concordance(np.asarray(ours)[None], np.asarray(papers))[0]))
    return Agreement(group, tau, float((scores >= own).mean()), n, float((scores == scores.max()).mean()))


def _concordance(orders: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Pairs in the same order less pairs in the reverse one. Shape: (len(orders),)."""
    import numpy as np

    pairs = itertools.combinations(range(len(other)), 2)
    return sum(np.sign(orders[:, i] - orders[:, j]) * np.sign(other[i] - other[j]) for i, j in pairs)
