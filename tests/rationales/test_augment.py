import re
import time
from random import Random

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.rationales.augment import Augmenter, word_class

CORPUS = [
    "Tom has 8 apples and eats 3 , so we subtract : 8 - 3 .",
    "Ann buys 4 boxes with 12 pens each , so we multiply : 4 * 12 .",
    "They share 20 sweets equally : 20 / 5 .",
]
KINDS = ["words", "numbers", "both"]


@pytest.mark.parametrize("kind", KINDS)
@given(
    text=st.one_of(st.sampled_from(CORPUS), st.text(max_size=40), st.text("ab 12+-.", max_size=20)),
    seed=st.integers(0, 9),
)
@examples(80)
def test_a_changed_copy_is_never_the_original_and_the_same_for_a_seed(kind, text, seed):
    augment = Augmenter(CORPUS, kind)
    changed = augment(text, Random(seed))
    assert changed is None or changed != text
    assert changed == augment(text, Random(seed))


def test_the_order_of_the_corpus_changes_nothing():
    first, second = Augmenter(CORPUS, "words"), Augmenter(CORPUS[::-1], "words")
    assert [first(CORPUS[0], Random(i)) for i in range(20)] == [
        second(CORPUS[0], Random(i)) for i in range(20)
    ]


def test_words_are_replaced_by_others_of_their_class():
    augment = Augmenter(CORPUS, "words")
    before = CORPUS[0].split()
    for seed in range(50):
        after = augment(CORPUS[0], Random(seed)).split()
        assert len(after) == len(before)
        changed = [(a, b) for a, b in zip(before, after, strict=True) if a != b]
        # 15% of the twelve words, names and numbers that have others of their class
        assert 1 <= len(changed) <= 2
        assert all(word_class(a) == word_class(b) for a, b in changed)
        assert all(any(b in text.split() for text in CORPUS) for _, b in changed)


def test_numbers_change_places_or_an_operator_turns_round():
    augment = Augmenter([], "numbers")
    found = {augment("8 - 3", Random(seed)) for seed in range(50)}
    assert found == {"3 - 8", "8 + 3"}
    assert {augment("we add them", Random(seed)) for seed in range(5)} == {"we subtract them"}
    assert augment("7 and 7", Random(0)) is None
    assert augment("nothing to change", Random(0)) is None


def test_both_makes_either_and_takes_the_other_where_one_cannot():
    augment = Augmenter(CORPUS, "both")
    kinds = {
        sorted(re.findall(r"\w+", augment(CORPUS[0], Random(seed)))) == sorted(re.findall(r"\w+", CORPUS[0]))
        for seed in range(40)
    }
    assert kinds == {True, False}  # only places or marks changed; other words came in
    assert all(augment("Tom eats", Random(seed)) for seed in range(10))  # no number in it
    assert all(Augmenter([], "both")("8 - 3", Random(seed)) for seed in range(10))  # no other word known


def test_a_large_vocabulary_does_not_make_it_slow():
    words = [f"w{chr(97 + i % 26)}{chr(97 + i // 26 % 26)}{chr(97 + i // 676)}" for i in range(17_000)]
    text = " ".join(words[:60])
    augment, random = Augmenter([" ".join(words)], "words"), Random(0)
    begun = time.process_time()
    assert all(augment(text, random) for _ in range(100))
    assert time.process_time() - begun < 1.0
