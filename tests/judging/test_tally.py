"""What the judge's answers come to."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from qcrd.judging.tally import Judged, tally
from qcrd.judging.verdict import Answer

ANSWERS = {"1": Answer("1"), "2": Answer("2"), "=": Answer("both"), "?": Answer(None, "no cue")}


def judged(pairs):
    """Questions from pairs of letters, "" for the same rationale on both sides."""
    return [
        Judged(f"q-{i}", "so", "thus", *(ANSWERS[letter] for letter in pair))
        if pair
        else Judged(f"q-{i}", "so", "so")
        for i, pair in enumerate(pairs)
    ]


def swapped(pairs):
    return [pair[::-1] for pair in pairs]


def test_a_comparison_worked_out_by_hand():
    found = tally(judged(["12", "12", "21", "21", "21", "11", "=2", "==", "1?", "", ""]))
    assert (found.questions, found.a, found.b, found.both, found.unread) == (11, 2, 3, 5, 1)
    assert found.identical == 2
    assert found.b_share.share == pytest.approx(3 / 5) and found.b_share.n == 5
    # 12 12 21 21 21 11 have 7 of 12 on the first, =2 none of 1, 1? one of 1
    assert found.shown_first.share == pytest.approx(8 / 14) and found.shown_first.n == 8
    assert found.consistent.share == pytest.approx(6 / 8) and found.consistent.n == 8
    assert found.unreadable == {"no cue": 1}
    assert found.p == pytest.approx(1.0)


def test_a_judge_that_always_takes_the_first_decides_nothing():
    found = tally(judged(["11"] * 20))
    assert (found.a, found.both, found.b) == (0, 20, 0)
    assert found.b_share is None and found.p == 1.0
    assert (found.shown_first.share, found.shown_first.n) == (1.0, 20)
    assert found.consistent.share == 0.0


def test_a_judge_that_looks_at_the_content_alone_has_no_bias():
    found = tally(judged(["12"] * 7 + ["21"] * 13))
    assert (found.a, found.b) == (7, 13)
    assert found.shown_first.share == 0.5
    assert found.consistent.share == 1.0


def test_nothing_asked_and_nothing_read_have_no_shares():
    for pairs in (["", ""], ["??"]):
        found = tally(judged(pairs))
        assert found.b_share is found.shown_first is found.consistent is None


@given(st.integers(0, 40), st.integers(0, 40))
def test_interval_and_p_are_scipys(a, b):
    found = tally(judged(["12"] * a + ["21"] * b))
    if not a + b:
        assert found.b_share is None
        return
    expected = binomtest(b, a + b)
    interval = expected.proportion_ci(method="wilson")
    assert (found.b_share.low, found.b_share.high) == pytest.approx((interval.low, interval.high))
    assert found.p == pytest.approx(expected.pvalue)


pairs = st.lists(st.sampled_from(["", *(x + y for x in ANSWERS for y in ANSWERS)]), max_size=30)


@given(pairs)
def test_swapping_the_cells_mirrors_the_counts_and_leaves_the_rest(pairs):
    one, other = tally(judged(pairs)), tally(judged(swapped(pairs)))
    assert (one.a, one.both, one.b, one.unread) == (other.b, other.both, other.a, other.unread)
    assert one.p == pytest.approx(other.p)
    if one.b_share:
        assert one.b_share.low == pytest.approx(1 - other.b_share.high)
    for same in ("questions", "identical", "shown_first", "consistent", "unreadable"):
        assert getattr(one, same) == getattr(other, same)


@given(pairs)
def test_every_question_is_counted_once(pairs):
    found = tally(judged(pairs))
    assert found.a + found.both + found.b + found.unread == found.questions == len(pairs)
    assert found.identical == Counter(pairs)[""]
    assert sum(found.unreadable.values()) == "".join(pairs).count("?")
