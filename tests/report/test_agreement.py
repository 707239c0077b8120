import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qcrd.report.agreement import agreement

FIGURES = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=6)


@settings(deadline=None)
@given(st.permutations(range(6)), st.integers(2, 6))
def test_without_ties_tau_and_p_are_scipys(order, n):
    ours = [order[i] for i in range(n)]
    found = agreement("", ours, list(range(n)))
    expected = stats.kendalltau(ours, list(range(n)), method="exact")
    assert found.tau == pytest.approx(expected.statistic) and found.p == pytest.approx(expected.pvalue)
    assert found.least_p == pytest.approx(2 / math.factorial(n))


def test_with_ties_p_is_that_of_scipys_permutation_test():
    ours, papers = [31.0, 33.0, 36.0, 40.0, 37.0], [65.0, 64.5, 67.5, 69.0, 67.5]  # Table 7's has a tie
    found = agreement("tau", ours, papers)
    expected = stats.permutation_test(
        (ours,), lambda x: stats.kendalltau(x, papers).statistic, permutation_type="pairings"
    )
    assert found.tau == pytest.approx(expected.statistic) and found.p == pytest.approx(expected.pvalue)


@settings(deadline=None)
@given(FIGURES)
def test_no_agreement_has_less_than_the_least_p(pairs):
    found = agreement("", *zip(*pairs, strict=True))
    assert found.tau is None or (0 < found.least_p <= found.p <= 1 and -1 <= found.tau <= 1)


def test_many_settings_take_scipys_p():
    ours = [3, 1, 2, 5, 4, 7, 6, 9, 8, 10]
    assert agreement("", ours, range(10)).p == pytest.approx(stats.kendalltau(ours, range(10)).pvalue)


def test_the_words_say_that_few_settings_can_show_nothing():
    same = str(agreement("k", [1, 2, 3, 4], [10, 20, 30, 40]))
    assert same == (
        "k: order of the 4 settings against the paper's: Kendall's tau-b +1.00 (p 0.083), the same order; "
        "with 4 settings even the same order would have p 0.083"
    )
    five = [1, 2, 3, 4, 5]
    assert str(agreement("", five, five)).endswith("the same order; more than chance")
    other = str(agreement("", [2, 1, 3, 5, 4], five))
    assert other.startswith("Order of the 5") and "more alike than not; no evidence of more" in other
    assert "the reverse order" in str(agreement("", five[::-1], five))
    assert "more reversed than not" in str(agreement("", [4, 5, 3, 1, 2], five))
    assert "undefined" in str(agreement("", [1, 1, 1], [1, 2, 3]))


def test_one_setting_has_no_order():
    with pytest.raises(ValueError, match="at least 2"):
        agreement("", [1], [2])
