import math

import pytest
from daily import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qcrd.report.statistics import (
    Estimate,
    accuracy,
    detectable,
    detectable_pairs,
    mcnemar,
    share_of_questions,
    wilson,
)


def test_three_seeds_give_students_interval():
    # mean 52, standard deviation 2, t(2 degrees) = 4.30265: half = 4.30265 * 2 / sqrt(3)
    estimate = accuracy([50.0, 52.0, 54.0], questions=1000)
    assert estimate.mean == 52 and estimate.n == 3 and estimate.over == "seeds"
    assert estimate.margin_of_error == pytest.approx(4.96827, abs=1e-4)


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom():
    assert accuracy([40.0, 42.0], 1000).margin_of_error == pytest.approx(12.7062, abs=1e-3)


def test_one_seed_has_an_interval_over_the_questions_and_says_so():
    estimate = accuracy([80.0], questions=10)
    assert estimate.over == "questions" and estimate.n == 1 and estimate.mean == 80
    assert (estimate.low, estimate.high) == pytest.approx((49.02, 94.33), abs=0.01)


def test_a_mean_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least one seed"):
        accuracy([], 10)


@settings(deadline=None)
@given(right=st.integers(0, 500), n=st.integers(1, 500))
def test_wilson_holds_the_share_and_stays_within_bounds(right, n):
    share = min(right, n) / n
    low, high = wilson(share, n)
    assert 0 <= low <= share + 1e-12 and share - 1e-12 <= high <= 1 and low < high
    z = 1.959964  # its ends solve |share - p| = z * sqrt(p (1 - p) / n)
    for end in (low, high):
        if 0 < end < 1:
            assert abs(share - end) == pytest.approx(z * math.sqrt(end * (1 - end) / n), abs=1e-6)


@settings(deadline=None)
@given(values=st.lists(st.floats(0, 100), min_size=2, max_size=9), shift=st.floats(-50, 50))
def test_a_shift_moves_the_interval_and_keeps_its_width(values, shift):
    plain, moved = accuracy(values, 100), accuracy([v + shift for v in values], 100)
    assert moved.mean == pytest.approx(plain.mean + shift, abs=1e-6)
    assert moved.margin_of_error == pytest.approx(plain.margin_of_error, abs=1e-6)


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_and_wilson_are_scipys(first, second):
    if first + second:
        found = stats.binomtest(first, first + second, 0.5)
        assert mcnemar(first, second) == pytest.approx(found.pvalue)
        interval = found.proportion_ci(0.95, method="wilson")
        assert wilson(first / (first + second), first + second) == pytest.approx(tuple(interval))


@settings(deadline=None)
@given(st.lists(st.floats(0, 100), min_size=2, max_size=9))
def test_the_interval_over_seeds_is_scipys(values):
    found = accuracy(values, 100)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx(tuple(expected), abs=1e-9)


def test_mcnemar_by_hand():
    # 1 against 7: two-sided 2 * (C(8,0) + C(8,1)) / 2^8
    assert mcnemar(1, 7) == pytest.approx(2 * 9 / 256)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1


@pytest.mark.parametrize("right", [0, 1, 6, 11, 12])
def test_an_interval_over_questions_holds_its_mean(right):
    found = share_of_questions(100 * right / 12, 12)
    assert found.low <= found.mean <= found.high and found.margin_of_error >= 0


@examples(30)
@given(st.floats(0.01, 20), st.floats(2, 500))
def test_the_detectable_difference_has_a_power_of_four_fifths_by_scipys_noncentral_t(error, freedom):
    edge, shift = stats.t.ppf(0.975, freedom), detectable(error, freedom) / error
    assert stats.nct.sf(edge, freedom, shift) == pytest.approx(0.8, abs=1e-3)


def test_detectable_differences_by_hand():
    # known variance: 1.96 + 0.8416
    assert detectable(1.0, 1e6) == pytest.approx(2.8016, abs=1e-3)
    # seeds of a standard deviation of two points: three a side, five a side
    assert detectable(2 * math.sqrt(2 / 3), 4) == pytest.approx(6.14, abs=0.01)
    assert detectable(2 * math.sqrt(2 / 5), 8) == pytest.approx(4.05, abs=0.01)
    assert detectable(1.0, 1.0) > 16, "one degree of freedom shows next to nothing"
    assert detectable(0.0, 4) is None and detectable(math.inf, 1) is None


@pytest.mark.parametrize("discordant", [6, 7, 20, 61, 200])
def test_what_mcnemars_test_detects_it_finds_in_four_of_five_cases(discordant):
    difference = detectable_pairs(discordant, 500)
    share = (1 + difference * 500 / discordant) / 2
    found = [n for n in range(discordant + 1) if mcnemar(n, discordant - n) < 0.05 and n > discordant / 2]
    assert sum(stats.binom.pmf(found, discordant, share)) == pytest.approx(0.8, abs=1e-6)


def test_too_few_differing_questions_can_show_nothing():
    assert [detectable_pairs(n, 100) for n in range(6)] == [None] * 6


def test_an_estimate_is_written_with_its_margin_or_as_an_interval_that_stays_between_0_and_100():
    assert str(Estimate(40.4, 39.1, 41.7, 3, "seeds")) == "40.4 ± 1.3"
    assert str(Estimate(2.0, -7.0, 11.0, 3, "seeds")) == "2.0 (0.0 to 11.0)"
    assert str(Estimate(98.0, 95.0, 101.0, 3, "seeds")) == "98.0 (95.0 to 100.0)"
    assert str(share_of_questions(0.0, 20)) == "0.0 (0.0 to 16.1)"
