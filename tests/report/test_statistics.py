import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcrd.report.statistics import accuracy, compare, mcnemar, wilson
from qcrd.types import Prediction


def predictions(right):
    return [Prediction(f"q{i}", "", "", bool(correct)) for i, correct in enumerate(right)]


def test_three_seeds_give_students_interval():
    # mean 52, standard deviation 2, t(2 degrees) = 4.30265: half = 4.30265 * 2 / sqrt(3)
    estimate = accuracy([50.0, 52.0, 54.0], questions=1000)
    assert estimate.mean == 52 and estimate.n == 3 and estimate.over == "seeds"
    assert estimate.half == pytest.approx(4.96827, abs=1e-4)


def test_two_seeds_have_the_wide_interval_of_one_degree_of_freedom():
    assert accuracy([40.0, 42.0], 1000).half == pytest.approx(12.7062, abs=1e-3)


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
    assert moved.half == pytest.approx(plain.half, abs=1e-6)


def test_mcnemar_by_hand():
    # 1 against 7: two-sided 2 * (C(8,0) + C(8,1)) / 2^8
    assert mcnemar(1, 7) == pytest.approx(2 * 9 / 256)
    assert mcnemar(7, 1) == mcnemar(1, 7)
    assert mcnemar(0, 0) == mcnemar(4, 4) == 1


def test_one_seed_against_one_is_mcnemars():
    first = [1] * 7 + [0] * 1 + [1] * 12
    second = [0] * 7 + [1] * 1 + [1] * 12
    difference = compare([predictions(first)], [predictions(second)])
    assert difference.test == "McNemar" and difference.p == mcnemar(7, 1)
    assert difference.points == pytest.approx(30) and difference.questions == 20


def test_many_seeds_are_pooled_by_question():
    first = [predictions([1, 1, 0, 1] * 50), predictions([1, 0, 0, 1] * 50)]
    second = [predictions([0, 0, 0, 1] * 50)]
    difference = compare(first, second)
    assert difference.test == "bootstrap" and difference.points == pytest.approx(37.5)
    assert difference.p < 0.001 and difference.low > 30 and difference.high < 45


def test_the_bootstrap_interval_is_the_normal_one_for_many_questions():
    right = [i % 4 == 0 for i in range(2000)]  # differences: a quarter 1, the rest 0
    difference = compare([predictions(right)], [predictions([0] * 2000)])
    half = 100 * 1.96 * math.sqrt(0.25 * 0.75 / 2000)
    assert (difference.high - difference.low) / 2 == pytest.approx(half, rel=0.05)


@settings(deadline=None)
@given(right=st.lists(st.booleans(), min_size=1, max_size=40))
def test_a_system_does_not_differ_from_itself(right):
    seeds = [predictions(right), predictions(right)]
    difference = compare(seeds, seeds)
    assert difference.points == 0 and difference.p == 1


def test_the_order_of_predictions_does_not_matter_but_the_questions_do():
    right = predictions([1, 0, 1, 1, 0])
    other = predictions([0, 0, 1, 0, 0])
    assert compare([right], [other]) == compare([right[::-1]], [other])
    with pytest.raises(ValueError, match="different questions"):
        compare([right], [other[:4]])
    with pytest.raises(ValueError, match="seeds answer different"):
        compare([right, right[:3]], [other])
    with pytest.raises(ValueError, match="at least one"):
        compare([], [other])
