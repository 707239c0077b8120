"""Dual rationales by hand, and against a naive minimum edit distance."""

from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd.rationales import dual as dual_module
from qcrd.rationales.dual import closest, dual_statistics, key_weights

WORDS = ["Tom", "had", "five", "six", "apples", ",", "red", "so", "he", "ate", "left", "."]


def tokens(text):
    return [WORDS.index(word) for word in text.split()]


def key_words(text, keys):
    return [word for word, key in zip(text.split(), keys, strict=True) if key]


@pytest.mark.parametrize(
    ("right", "wrong", "right_keys", "wrong_keys", "distance"),
    [
        ("Tom had five apples", "Tom had six apples", ["five"], ["six"], 1),  # replaced
        ("Tom had five red apples", "Tom had five apples", ["red"], [], 1),  # inserted
        ("Tom had apples", "Tom had red apples", [], ["red"], 1),  # deleted
        ("so he ate five .", "so Tom ate .", ["he", "five"], ["Tom"], 2),
        ("five apples", "he left", ["five", "apples"], ["he", "left"], 2),
        ("he ate five apples", "Tom he ate six apples", ["five"], ["Tom", "six"], 2),
    ],
)
def test_what_the_shortest_script_changes_is_key(right, wrong, right_keys, wrong_keys, distance):
    dual = closest([(tokens(right), tokens(wrong))])
    assert key_words(right, dual.right_keys) == right_keys
    assert key_words(wrong, dual.wrong_keys) == wrong_keys
    assert dual.distance == distance


def test_the_closest_pair_is_taken_and_of_equals_the_first():
    rights = [tokens("so he ate five apples ."), tokens("Tom had five apples .")]
    wrongs = [tokens("he left"), tokens("Tom had six apples ."), tokens("Tom ate five apples .")]
    dual = closest((r, w) for r in rights for w in wrongs)
    assert (dual.right, dual.wrong, dual.distance) == (rights[1], wrongs[1], 1)


def test_equal_rationales_with_different_answers_are_no_pair():
    same, other = tokens("Tom had five"), tokens("he left")
    assert closest([(same, list(same))]) is None
    assert closest([(same, list(same)), (same, other)]).wrong == other
    assert closest([]) is None


def test_each_rationale_is_marked_beside_the_nearest_of_the_other_side():
    rights = [tokens("Tom had five apples"), tokens("he ate")]
    wrongs = [tokens("Tom had six apples"), tokens("he left"), tokens("he ate")]
    found = key_weights(rights, wrongs, 3.0)
    assert found == [[1, 1, 3, 1], [1, 3], [1, 1, 3, 1], [1, 3], [3, 3]]
    assert key_weights(rights, [], 3.0) == [[1, 1, 1, 1], [1, 1]]
    assert key_weights([rights[1]], [wrongs[2]], 3.0) == [[1, 1], [1, 1]]


def test_each_pair_is_compared_once_for_both_sides():
    with patch.object(dual_module, "_distance", wraps=dual_module._distance) as compared:
        key_weights([[1, 2], [3]], [[1], [2], [3, 4]], 3.0)
    assert compared.call_count == 2 * 3


def test_the_share_of_key_tokens_is_of_all_tokens_of_a_side():
    duals = [
        closest([(tokens("Tom had five red apples"), tokens("Tom had five apples"))]),
        closest([(tokens("he ate five"), tokens("he left"))]),
        None,
    ]
    found = dual_statistics(duals)
    assert found == {
        "questions": 2,
        "without": 1,
        "distance": 1.5,
        "key_right": pytest.approx(100 * 3 / 8),
        "key_wrong": pytest.approx(100 * 1 / 6),
    }
    assert dual_statistics([None])["key_right"] == 0


ROWS = st.lists(st.integers(0, 4), max_size=12)


def naive_distance(a, b):
    table = [[max(i, j) if not i or not j else 0 for j in range(len(b) + 1)] for i in range(len(a) + 1)]
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            change = table[i - 1][j - 1] + (a[i - 1] != b[j - 1])
            table[i][j] = min(change, table[i - 1][j] + 1, table[i][j - 1] + 1)
    return table[-1][-1]


def script_of(dual):
    """Runs of key tokens on both sides, each between tokens that stay: what replaces what."""
    left = [t for t, key in zip(dual.wrong, dual.wrong_keys, strict=True) if not key]
    assert left == [t for t, key in zip(dual.right, dual.right_keys, strict=True) if not key]

    def runs(row, keys):
        found = [[]]
        for token, key in zip(row, keys, strict=True):
            if key:
                found[-1].append(token)
            else:
                found.append([])
        return found

    return list(zip(runs(dual.wrong, dual.wrong_keys), runs(dual.right, dual.right_keys), strict=True)), left


@given(ROWS, ROWS)
def test_the_marks_are_a_script_of_least_cost_that_makes_the_right_one_of_the_wrong_one(right, wrong):
    dual = closest([(right, wrong)])
    if right == wrong:
        assert dual is None
        return
    changes, left = script_of(dual)
    # What stays is common to both; a run of a tokens becomes one of b tokens by max(a, b) edits.
    assert sum(max(len(a), len(b)) for a, b in changes) == naive_distance(wrong, right) == dual.distance
    made = [token for (_, new), stays in zip(changes, [*left, None], strict=True) for token in (*new, stays)]
    assert made[:-1] == right


@given(st.lists(ROWS, max_size=4), st.lists(ROWS, max_size=4))
def test_the_closest_pair_is_the_naive_one(rights, wrongs):
    pairs = [(r, w) for r in rights for w in wrongs if r != w]
    dual = closest((r, w) for r in rights for w in wrongs)
    if not pairs:
        assert dual is None
    else:
        assert (dual.right, dual.wrong) == min(pairs, key=lambda pair: naive_distance(*pair))


@given(st.lists(ROWS, max_size=4), st.lists(ROWS, max_size=4), st.sampled_from([0.5, 3.0]))
def test_the_weights_are_those_of_the_script_to_the_naively_nearest(rights, wrongs, key):
    def naive(row, others, mark):
        others = [other for other in others if other != row]
        if not others:
            return [1.0] * len(row)
        dual = mark(row, min(others, key=lambda other: naive_distance(row, other)))
        return [key if marked else 1.0 for marked in dual]

    wanted = [naive(r, wrongs, lambda r, w: closest([(r, w)]).right_keys) for r in rights]
    wanted += [naive(w, rights, lambda w, r: closest([(r, w)]).wrong_keys) for w in wrongs]
    assert key_weights(rights, wrongs, key) == wanted
