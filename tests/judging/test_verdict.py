"""Reading a judge's answer, and one verdict from both orders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd.judging.verdict import Answer, cell, read, verdict

ONE, TWO, BOTH, UNREAD = Answer("1"), Answer("2"), Answer("both"), Answer(None, "no cue")


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("Better: 1", "1"),
        ("better: 2.", "2"),
        ("BETTER : both", "both"),
        ("**Better:** 2", "2"),
        ("Better: **1**", "1"),
        ('"Better: 2"', "2"),
        ("Better: Explanation 1", "1"),
        ("Better: the second explanation, which names the sum", "2"),
        ("Better: [2]", "2"),
        ("Better: neither", "both"),
        ("The better explanation is 1.", "1"),
        ("Explanation 1 is wrong: 3 + 4 is not 8.\n\nBetter: 2\n", "2"),
        ("At first I thought\nBetter: 1\nbut it forgets the apples.\nBetter: 2", "2"),
        ("Explanation 1 is better: 2 and 2 are 4.\nBetter: 1", "1"),
        ("Better: 1\nWhat follows says nothing better: a mere afterthought", "1"),
        ("1", "1"),
        (" (2).\n", "2"),
        ("both", "both"),
    ],
)
def test_a_choice_is_read_however_it_is_dressed(text, choice):
    assert read(text) == Answer(choice)


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        (None, "stop", "no answer"),
        ("", "stop", "no cue"),
        ("I cannot judge that.", "stop", "no cue"),
        ("Explanation 1 is better: 2 and 2 are 4", "stop", "no cue"),
        ("Explanation 1 says that", "length", "truncated"),
        ("Both are long. Better:", "length", "truncated"),
        ("Better: hard to say", "stop", "no choice"),
        ("Better: 3", "stop", "no choice"),
        ("Better: 12", "stop", "no choice"),
        ("Better: 1.5", "stop", "no choice"),
        ("Better: onerous", "stop", "no choice"),
        ("Better: 1 or 2", "stop", "several choices"),
        ("Better: 1 and 2", "stop", "several choices"),
        ('End with "Better: 1", "Better: 2" or "Better: both".', "stop", "several choices"),
    ],
)
def test_what_is_no_choice_is_told_apart_by_its_reason(text, finish, reason):
    assert read(text, finish) == Answer(None, reason)


@given(st.text(), st.sampled_from(["stop", "length"]))
def test_reading_never_raises_and_gives_a_choice_or_a_reason(text, finish):
    answer = read(text, finish)
    assert (answer.choice is None) == (answer.reason is not None)


@given(st.text(), st.sampled_from(["1", "2", "both"]))
def test_the_line_that_was_asked_for_is_read_whatever_stands_before_it(before, choice):
    assert read(f"{before}\nBetter: {choice}") == Answer(choice)


@pytest.mark.parametrize(
    ("a_first", "b_first", "expected"),
    [
        (ONE, TWO, "a"),  # A both times
        (TWO, ONE, "b"),
        (ONE, ONE, "both"),  # whichever is shown first
        (TWO, TWO, "both"),
        (BOTH, BOTH, "both"),
        (ONE, BOTH, "both"),
        (BOTH, ONE, "both"),
        (UNREAD, TWO, None),
        (ONE, UNREAD, None),
    ],
)
def test_only_orders_that_agree_decide(a_first, b_first, expected):
    assert verdict(a_first, b_first) == expected


answers = st.sampled_from([ONE, TWO, BOTH, UNREAD])


@given(answers, answers)
def test_swapping_the_cells_swaps_the_verdict(a_first, b_first):
    swapped = {"a": "b", "b": "a", "both": "both", None: None}
    assert verdict(b_first, a_first) == swapped[verdict(a_first, b_first)]
    assert cell(a_first, "ba") == swapped[cell(a_first, "ab")]
