"""How gold labels name choices: decided once for the whole set, refused where it can be read in two ways."""

import pytest

from qcrd.errors import DataError
from qcrd.tasks.own.fields import Choices
from qcrd.tasks.own.labels import Gold, decide

NUMBERS = ("8", "2", "24", "120")
THINGS = ("sieve", "cup", "net")


def golds(labels, choices, keys=(), whole=False, numbers=False):
    return [
        Gold(label, Choices(tuple(choices), tuple(keys), numbers), f"row {i}", whole)
        for i, label in enumerate(labels)
    ]


@pytest.mark.parametrize(
    ("labels", "choices", "settings", "reading"),
    [
        (["cup", "Net", "cup."], THINGS, {}, "text"),
        (["2", "24", "120"], NUMBERS, {}, "text"),  # 24 is no number of a choice
        (["2"], NUMBERS, {"whole": True}, "index0"),  # MMLU
        (["2", "0", "3"], NUMBERS, {"whole": True}, "index0"),
        (["2", "4", "1"], NUMBERS, {"whole": True}, "index1"),
        (["24", "120"], NUMBERS, {"whole": True}, "text"),
        (["24", "8"], NUMBERS, {"whole": True, "numbers": True}, "text"),
        (["0", "2"], THINGS, {}, "index0"),
        (["3", "1"], THINGS, {}, "index1"),
        (["B", "C"], THINGS, {}, "letter"),
        (["(b)", "c."], THINGS, {}, "letter"),
        (["2", "3"], THINGS, {"keys": "123"}, "key"),  # ARC
        (["B", "C"], THINGS, {"keys": "ABC"}, "key"),
        (["cup", "net"], THINGS, {"keys": "ABC"}, "text"),
        (["0", "1"], THINGS, {"keys": "ABC", "whole": True}, "index0"),
        (["A", "G"], "ACGT", {}, "text"),  # G is the letter of no choice
        (["a", "b"], "abc", {}, "text"),  # and the letter, which is the same
        (["1", "2"], ["0", "1", "2"], {}, "text"),
    ],
)
def test_the_reading_that_fits_the_whole_set_is_taken(labels, choices, settings, reading):
    assert decide(golds(labels, choices, **settings), None, 0) == reading


@pytest.mark.parametrize(
    ("labels", "choices", "settings", "says"),
    [
        (["2"], NUMBERS, {}, r"as text \(the choice's text: '2'\) or as index0 .*from 0: '24'\), .*row 0 has "
         r"'2' beside '8', '2', '24', '120'; set task.own.label_is: text or index0"),
        (["A", "B"], "BAC", {}, r"as text .*: 'A'\) or as letter .*: 'B'"),
        (["1", "2"], ["2", "1", "0"], {"keys": "123"}, "as text .* or as key"),
        (["1", "2"] * 20, NUMBERS, {"whole": True}, "as index0 .* or as index1"),
        (["1", "2"], ["2", "1", "0"], {"whole": True, "numbers": True}, "as text .* or as index0"),
    ],
)  # fmt: skip
def test_a_set_that_can_be_read_in_two_ways_is_refused_and_both_are_named(labels, choices, settings, says):
    with pytest.raises(DataError, match=says):
        decide(golds(labels, choices, **settings), None, 0)


def test_what_the_user_says_decides():
    (gold,) = golds(["2"], NUMBERS, keys=["4", "3", "2", "1"])
    found = {reading: gold.index(reading) for reading in ("text", "key", "index0", "index1")}
    assert found == {"text": 1, "key": 2, "index0": 2, "index1": 1}
    assert decide([gold], "index1", 0) == "index1"


def test_no_choice_is_named_by_what_is_out_of_range_or_no_number():
    for label in ("4", "-1", "٢", "1.0", "", "9" * 30):
        (gold,) = golds([label], NUMBERS)
        assert gold.index("index0") is None, label
    assert golds(["D"], THINGS)[0].index("letter") is None
    assert golds(["ab"], THINGS)[0].index("letter") is None


def test_rows_that_may_be_left_out_do_not_stop_a_reading():
    some = golds(["B"] * 19 + ["?"], THINGS)
    assert decide(some, None, 0.05) == "letter"
    few_zeros = golds(["1", "2", "3", "4"] * 10 + ["0"], NUMBERS, whole=True)
    assert decide(few_zeros, None, 0.05) == "index1"  # one row does not fit; as numbers from 0, ten
