import numpy as np
import pytest
from daily import some
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from qcrd.report.comparison import compare, holm
from qcrd.report.statistics import detectable, detectable_pairs, mcnemar
from qcrd.types import Prediction

RIGHT = st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=4)


def predictions(right):
    return [Prediction(f"q{i}", "", "", bool(correct)) for i, correct in enumerate(right)]


def seeds(array):
    return [predictions(row) for row in array]


def drawn(rng, share, count, spread=0.0, questions=400):
    """Seeds whose accuracies are `share` and vary by `spread`, on questions of unlike difficulty."""
    difficulty = np.random.default_rng(9).normal(0, 1.2, questions)
    logit = np.log(share / (1 - share)) + difficulty + rng.normal(0, spread, (count, 1))
    return rng.random((count, questions)) < 1 / (1 + np.exp(-logit))


def test_one_seed_against_one_is_mcnemars_and_says_that_it_is_over_questions():
    first = [1] * 7 + [0] * 1 + [1] * 12
    second = [0] * 7 + [1] * 1 + [1] * 12
    difference = compare([predictions(first)], [predictions(second)])
    assert difference.p == mcnemar(7, 1) == pytest.approx(stats.binomtest(7, 8).pvalue)
    assert (difference.test, difference.over) == ("McNemar", "questions")
    assert difference.points == pytest.approx(30)
    assert (difference.questions, difference.seeds) == (20, (1, 1))


def test_the_interval_of_one_seed_is_scipys_paired_one():
    rng = np.random.default_rng(0)
    first, second = drawn(rng, 0.6, 1), drawn(rng, 0.5, 1)
    found = compare(seeds(first), seeds(second))
    expected = stats.ttest_rel(first[0].astype(float), second[0].astype(float)).confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((100 * expected.low, 100 * expected.high))
    difference = first[0].astype(float) - second[0]
    drawn_anew = stats.bootstrap((difference,), np.mean, rng=1, n_resamples=4000).confidence_interval
    assert (found.low, found.high) == pytest.approx((100 * drawn_anew.low, 100 * drawn_anew.high), abs=0.8)


def test_where_questions_do_not_vary_it_is_scipys_t_test_over_seeds():
    # every question is right in the same seeds: only the seeds differ
    first, second = np.repeat([[1], [1], [0]], 50, axis=1), np.repeat([[0], [1], [0], [0]], 50, axis=1)
    found = compare(seeds(first), seeds(second))
    expected = stats.ttest_ind(first.mean(axis=1), second.mean(axis=1))
    assert found.p == pytest.approx(expected.pvalue)
    ends = expected.confidence_interval(0.95)
    assert found.low == pytest.approx(100 * ends.low)
    assert found.high == pytest.approx(min(100, 100 * ends.high))
    assert (found.test, found.over, found.seeds) == ("t", "questions and seeds", (3, 4))


def test_where_seeds_do_not_vary_it_is_scipys_paired_t_test_over_questions():
    rng = np.random.default_rng(3)
    first, second = (np.repeat(drawn(rng, share, 1), 3, axis=0) for share in (0.55, 0.5))
    found = compare(seeds(first), seeds(second))
    expected = stats.ttest_rel(first[0].astype(float), second[0].astype(float))
    assert found.p == pytest.approx(expected.pvalue)
    ends = expected.confidence_interval(0.95)
    assert (found.low, found.high) == pytest.approx((100 * ends.low, 100 * ends.high))


def test_a_known_difference_is_found_and_lies_within_the_interval():
    rng = np.random.default_rng(5)
    known = 100 * (drawn(rng, 0.65, 400).mean() - drawn(rng, 0.5, 400).mean())
    found = compare(seeds(drawn(rng, 0.65, 3, 0.05)), seeds(drawn(rng, 0.5, 3, 0.05)))
    assert found.p < 0.01 and 0 < found.low < known < found.high


@pytest.mark.slow
def test_equal_settings_whose_seeds_vary_are_rarely_called_different():
    rng = np.random.default_rng(11)
    trials = 120
    wrong, without_seeds = 0, 0
    for _ in range(trials):
        first, second = (drawn(rng, 0.5, 3, 0.15, 1000) for _ in range(2))
        wrong += compare(seeds(first), seeds(second)).p < 0.05
        without_seeds += stats.ttest_rel(first.mean(axis=0), second.mean(axis=0)).pvalue < 0.05
    assert wrong <= 0.1 * trials, "says 5%"
    assert without_seeds > 0.2 * trials, "then questions alone would do"


def test_one_seed_against_several_is_compared_with_the_seeds_that_there_are():
    rng = np.random.default_rng(7)
    found = compare(seeds(drawn(rng, 0.6, 1, 0.2)), seeds(drawn(rng, 0.5, 3, 0.2)))
    assert found.over == "questions and seeds" and found.seeds == (1, 3)


@settings(deadline=None)
@given(RIGHT)
def test_a_setting_does_not_differ_from_itself(right):
    difference = compare(seeds(right), seeds(right))
    assert difference.points == 0 and difference.p == 1 and difference.low <= 0 <= difference.high


@settings(deadline=None)
@given(RIGHT, RIGHT)
def test_the_other_way_round_is_the_same_with_the_other_sign(first, second):
    found, reverse = compare(seeds(first), seeds(second)), compare(seeds(second), seeds(first))
    assert found.points == pytest.approx(-reverse.points) and found.p == pytest.approx(reverse.p)
    assert (found.low, found.high) == pytest.approx((-reverse.high, -reverse.low))
    assert -100 <= found.low <= found.points + 1e-9 and found.points - 1e-9 <= found.high <= 100
    assert 0 <= found.p <= 1


def test_one_question_shows_nothing():
    for count in (1, 3):
        found = compare(seeds([[1]] * count), seeds([[0]] * count))
        assert found.p == 1 and (found.low, found.high) == (-100, 100)


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


def power(difference, spread, count, questions, trials, rng):
    """Share of comparisons that find a true difference (in points) of settings whose seeds vary."""
    found, said = 0, []
    for _ in range(trials):
        rates = [0.5 + shift / 100 + rng.normal(0, spread / 100, (count, 1)) for shift in (difference, 0)]
        one, other = (rng.random((count, questions)) < rate for rate in rates)
        compared = compare(seeds(one), seeds(other))
        found += compared.p < 0.05
        said.append(compared.detectable)
    return found / trials, float(np.median(said))


@pytest.mark.parametrize(("count", "spread"), some([(3, 4.0), (5, 2.0)], [(3, 4.0)]))
def test_a_difference_called_detectable_is_found_in_four_of_five_cases(count, spread):
    rng = np.random.default_rng(2)
    variance = 2 / count * (spread**2 + 50**2 / 100)  # of seeds, and of the questions that each answers
    freedom = 2 * (count - 1)
    expected = detectable(variance**0.5, freedom)
    rate, said = power(expected, spread, count, 100, 200, rng)
    assert rate == pytest.approx(0.8, abs=0.08)
    assert said == pytest.approx(expected, rel=0.35)


def test_with_one_seed_each_it_is_what_the_differing_questions_can_show():
    rng = np.random.default_rng(4)
    share, questions, rates = 0.3, 200, []
    expected = detectable_pairs(int(share * questions), questions)
    for _ in range(300):
        kind = rng.random(questions)  # right for the first alone, for the second alone, for both
        first = kind < (share + expected) / 2
        second = (kind >= (share + expected) / 2) & (kind < share)
        rates.append(compare([predictions(first)], [predictions(second)]).p < 0.05)
    assert np.mean(rates) == pytest.approx(0.8, abs=0.06)


def test_one_seed_is_about_students_and_never_about_settings():
    right = [predictions([1] * 100), predictions([0] * 100)]
    assert compare(right[:1], right[1:]).of_students and not compare(right[:1], right[1:]).first_is_better
    both = compare(right[:1] * 3, right[1:] * 3)
    assert both.first_is_better and not both.of_students
    assert not compare(right[1:] * 3, right[:1] * 3).first_is_better


def test_holm_by_hand():
    # sorted 0.005, 0.01, 0.03, 0.04: times 4, 3, 2, 1, then never falling
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.5]) == [1.0, 1.0] and holm([0.04]) == [0.04] and holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=30))
def test_holm_keeps_the_order_and_lies_between_the_raw_p_and_bonferronis(ps):
    corrected = holm(ps)
    for raw, mended in zip(ps, corrected, strict=True):
        assert raw <= mended <= min(1.0, len(ps) * raw)
    by_size = [mended for _, mended in sorted(zip(ps, corrected, strict=True))]
    assert by_size == sorted(by_size)
