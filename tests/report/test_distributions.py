"""The distributions are scipy.stats', which takes long to import."""

import numpy as np
import pytest
from scipy import stats

from qcrd.report import distributions

SHARES = (1e-6, 0.025, 0.2, 0.5, 0.8, 0.975, 1 - 1e-6)


@pytest.mark.parametrize("freedom", [1, 2, 2.7, 30, 1e6])
def test_those_of_accuracies_are_scipys(freedom):
    for p in SHARES:
        assert distributions.normal_quantile(p) == pytest.approx(stats.norm.ppf(p), rel=1e-12, abs=1e-12)
        assert distributions.t_quantile(p, freedom) == pytest.approx(
            stats.t.ppf(p, freedom), rel=1e-9, abs=1e-12
        )
        assert distributions.t_above(3 * p, freedom) == pytest.approx(stats.t.sf(3 * p, freedom), rel=1e-9)
        assert distributions.beta_quantile(p, 7, freedom) == pytest.approx(
            stats.beta.ppf(p, 7, freedom), rel=1e-9
        )
    shares = np.array(SHARES)
    assert distributions.normal_cdf(shares) == pytest.approx(stats.norm.cdf(shares), rel=1e-12)
    assert distributions.chi2_quantile(shares, freedom) == pytest.approx(
        stats.chi2.ppf(shares, freedom), rel=1e-9
    )


@pytest.mark.parametrize("n", [0, 1, 5, 6, 7, 40, 3001])
def test_those_of_coins_are_scipys(n):
    for p in (0.025, 0.3, 0.6):
        assert distributions.coin_threshold(p, n) == stats.binom.isf(p, n, 0.5)
    for heads in {0, n // 3, n}:
        assert distributions.coin_cdf(heads, n) == pytest.approx(stats.binom.cdf(heads, n, 0.5), rel=1e-9)
