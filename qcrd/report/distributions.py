"""Distributions that the statistics use, from scipy.special: importing scipy.stats takes ten times as long.

scipy is imported inside the functions, so that a table without results does not load it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


def normal_quantile(p: float) -> float:
    """Quantile of the standard normal distribution."""
    from scipy import special

    return float(special.ndtri(p))


def normal_cdf(x: np.ndarray) -> np.ndarray:
    """P(X <= x) of the standard normal distribution; any shape."""
    from scipy import special

    values: np.ndarray = special.ndtr(x)
    return values


def t_quantile(p: float, freedom: float) -> float:
    """Quantile of Student's t distribution."""
    from scipy import special

    return float(special.stdtrit(freedom, p))


def t_above(x: float, freedom: float) -> float:
    """P(X > x) of Student's t distribution."""
    from scipy import special

    return float(special.stdtr(freedom, -x))


def chi2_quantile(p: np.ndarray, freedom: float) -> np.ndarray:
    """Quantiles of the chi-squared distribution; any shape."""
    from scipy import special

    values: np.ndarray = 2 * special.gammaincinv(freedom / 2, p)
    return values


def beta_quantile(p: float, a: float, b: float) -> float:
    """Quantile of the beta distribution."""
    from scipy import special

    return float(special.betaincinv(a, b, p))


def coin_cdf(heads: int, n: int) -> float:
    """P(X <= heads) for `n` tosses of a fair coin."""
    from scipy import special

    return float(special.bdtr(heads, n, 0.5))


def coin_threshold(p: float, n: int) -> int:
    """Smallest number with P(X > number) <= p for `n` tosses of a fair coin."""
    import numpy as np
    from scipy import special

    return int(np.argmax(special.bdtrc(np.arange(n + 1), n, 0.5) <= p))
