"""Token ids that are kept: the tokenizer's own, asked for once, and not too many."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small import lengths

from qcrd.hub.token_ids import _caches, token_counts, token_ids, tokenise
from qcrd.student.tokenizer import load_tokenizer

TOKENIZER = load_tokenizer(lengths())
WORDS = st.sampled_from(["explain", ":", "Tom", "has", "7", "apples", ".", "unheard", ""])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=6)


class Counting:
    """A tokenizer that notes what it is asked."""

    def __init__(self):
        self.asked = []

    def __call__(self, texts, **settings):
        self.asked += texts
        return TOKENIZER(texts, **settings)


@given(TEXTS, TEXTS)
def test_they_are_those_of_the_tokenizer_whatever_was_asked_before(before, texts):
    token_ids(TOKENIZER, before)
    alone = [TOKENIZER(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [list(ids) for ids in token_ids(TOKENIZER, texts)] == alone


@given(TEXTS, st.integers(1, 8))
def test_rows_are_cut_with_their_end_and_counted_without_cut(texts, limit):
    rows, counts = tokenise(TOKENIZER, texts, limit), token_counts(TOKENIZER, texts)
    assert [len(row) for row in rows] == [min(count, limit) for count in counts]
    assert all(row[-1] == TOKENIZER.eos_token_id for row in rows)


def test_a_text_is_tokenised_once_and_callers_get_rows_of_their_own():
    tokenizer = Counting()
    token_ids(tokenizer, ["a b", "c", "a b"])
    token_ids(tokenizer, ["c", "d"])
    assert tokenizer.asked == ["a b", "c", "d"]
    first = tokenise(TOKENIZER, ["Tom has 7"], 9)
    first[0].clear()
    assert len(tokenise(TOKENIZER, ["Tom has 7"], 9)[0]) == 4


@pytest.mark.parametrize("texts", [["1 2 3", "4"], ["1 2 3 4 5 6"]])
def test_no_more_than_the_bound_is_kept_and_nothing_is_missing(monkeypatch, texts):
    monkeypatch.setattr("qcrd.hub.token_ids.MOST", 5)
    tokenizer = Counting()
    token_ids(tokenizer, ["7 8 9"])
    found = token_ids(tokenizer, ["7 8 9", *texts])
    assert [len(ids) for ids in found] == [3, *(len(text.split()) for text in texts)]
    kept = _caches[tokenizer]
    assert kept.tokens == sum(map(len, kept.values())) <= 5


def test_the_same_files_give_the_same_tokenizer_and_changed_ones_another(tmp_path):
    TOKENIZER.save_pretrained(tmp_path)
    section = lengths(tokenizer=str(tmp_path))
    first = load_tokenizer(section)
    assert load_tokenizer(section) is first
    path = tmp_path / "tokenizer.json"
    path.write_text(path.read_text().replace('"apples"', '"pears and apples"'))
    assert load_tokenizer(section) is not first
