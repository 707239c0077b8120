"""Accuracy, diversity and choice among rationales: cases worked by hand, and naive references."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd.config import Selection
from qcrd.rationales.select import SELECTIONS, Candidate, filtered, jaccard, renewed, words

TEXTS = st.lists(st.lists(st.sampled_from("abcde"), max_size=5).map(" ".join), max_size=7)


def chosen(rule, difficulties, n, seed=0):
    candidates = [Candidate(str(i), True, d) for i, d in enumerate(difficulties)]
    return list(SELECTIONS[rule].choose(candidates, n, Random(seed)))


def test_words_are_words_numbers_and_marks_whatever_their_case():
    assert words("Tom has 3.5 + 2 apples. Apples, tom!") == {"tom", "has", "3.5", "+", "2", "apples", *".,!"}


@pytest.mark.parametrize(
    ("a", "b", "similarity"),
    [("a b c", "c b a a", 1.0), ("a b", "c d", 0.0), ("a b c", "b c d", 0.5), ("", "", 1.0), ("a", "", 0.0)],
)
def test_jaccard_is_the_share_of_common_words(a, b, similarity):
    assert jaccard(words(a), words(b)) == jaccard(words(b), words(a)) == similarity


def test_a_question_worked_by_hand():
    texts = ["3 + 4", "4 + 3", "3 - 4", "so 3 + 4", "four and three"]
    right = [True, True, False, True, True]
    # 4 + 3 has the words of 3 + 4; so 3 + 4 shares three of four; the last shares none.
    found = filtered(texts, right, True, 0.75)
    assert (found.kept, found.wrong, found.near_duplicates) == ((0, 3, 4), 1, 1)
    found = filtered(texts, right, True, 0.7)
    assert (found.kept, found.wrong, found.near_duplicates) == ((0, 4), 1, 2)
    # Without the accuracy filter the wrong one stays (two of four words shared), and is compared too.
    assert filtered(texts, right, False, 0.7).kept == (0, 2, 4)
    assert filtered(texts, right, True, None).kept == (0, 1, 3, 4)
    assert filtered(texts, right, False, None).kept == (0, 1, 2, 3, 4)


def test_one_that_is_near_only_to_one_that_went_stays():
    assert filtered(["a b c", "b c d", "c d e"], [True] * 3, True, 0.4).kept == (0, 2)


@given(texts=TEXTS, wrong=st.sets(st.integers(0, 6)), accuracy=st.booleans(), threshold=st.floats(0, 1))
def test_the_filters_equal_a_naive_reference(texts, wrong, accuracy, threshold):
    right = [i not in wrong for i in range(len(texts))]
    kept, reasons = [], []
    for i, text in enumerate(texts):
        a = set(text.split())
        near = False
        for k in kept:
            b = set(texts[k].split())
            near = near or (len(a & b) / len(a | b) if a | b else 1) > threshold
        reasons.append("wrong" if accuracy and not right[i] else "near" if near else "")
        if not reasons[-1]:
            kept.append(i)
    found = filtered(texts, right, accuracy, threshold)
    assert list(found.kept) == kept
    assert (found.wrong, found.near_duplicates) == (reasons.count("wrong"), reasons.count("near"))


def test_each_rule_worked_by_hand():
    difficulties = [0.5, -1.0, 2.0, -1.0, 0.0]
    assert chosen("min_rd", difficulties, 3) == [1, 3, 4]  # the first drawn of equals
    assert chosen("max_rd", difficulties, 2) == [2, 0]
    assert chosen("first", difficulties, 2) == [0, 1]
    assert chosen("all", difficulties, 2) == [0, 1, 2, 3, 4]
    assert all(chosen(rule, [], 2) == [] for rule in SELECTIONS)


@pytest.mark.parametrize("rule", SELECTIONS)
@given(difficulties=st.lists(st.floats(-9, 9), max_size=8), n=st.integers(1, 9), seed=st.integers(0, 9))
def test_a_rule_takes_n_different_ones_or_all_that_there_are(rule, difficulties, n, seed):
    found = chosen(rule, difficulties, n, seed)
    assert found == chosen(rule, difficulties, n, seed)
    assert (
        len(set(found)) == len(found) == (min(n, len(difficulties)) if rule != "all" else len(difficulties))
    )
    left = [d for i, d in enumerate(difficulties) if i not in found]
    taken = [difficulties[i] for i in found]
    if taken and left and rule == "min_rd":
        assert max(taken) <= min(left)
    if taken and left and rule == "max_rd":
        assert min(taken) >= max(left)


def test_chance_takes_each_of_them_about_equally_often():
    counts = [0] * 5
    for seed in range(500):
        for i in chosen("random", [0.0] * 5, 2, seed):
            counts[i] += 1
    assert all(150 < count < 250 for count in counts), counts


def test_what_the_student_measures_and_what_chance_takes_is_chosen_anew():
    assert [name for name in SELECTIONS if renewed(Selection(rule=name))] == ["min_rd", "max_rd", "random"]
    assert not renewed(Selection(rule="min_rd", measured_by="some/model"))
    assert renewed(Selection(rule="random", measured_by="some/model"))
