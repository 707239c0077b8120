"""Negatives that are a positive in what the student is trained on, and what it writes itself."""

from small import small_student

from qcrd.hub.token_ids import tokenise
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.token_duplicates import Known, apart
from qcrd.types import RationaleSet

TOKENIZER = word_level_tokenizer(["Tom", "tom", "adds", "2", "3", "9"], append_eos=True)


def sets_of(positives, negatives, order=()):
    return [RationaleSet("q", "5", positives, negatives, order, equal=1)]


def test_texts_that_are_one_for_the_tokenizer_are_not_on_both_sides():
    # Words that it does not know are one token.
    given = sets_of(
        ("Tom adds 7",), ("Tom adds 8", "Tom adds 9", "Tom adds 7 7"), (False, True, False, False)
    )
    [found] = apart(TOKENIZER, given, 9)
    assert (found.positives, found.negatives) == (("Tom adds 7",), ("Tom adds 9", "Tom adds 7 7"))
    assert found.order == (True, False, False) and found.equal == 2
    assert found.drawn() == [("Tom adds 7", True), ("Tom adds 9", False), ("Tom adds 7 7", False)]


def test_texts_that_differ_behind_the_cut_alone_are_not_on_both_sides():
    given = sets_of(("Tom adds 2 3",), ("Tom adds 2 9",))
    assert apart(TOKENIZER, given, 5) == given
    [found] = apart(TOKENIZER, given, 4)
    assert (found.negatives, found.equal) == ((), 2)


def test_negatives_that_were_added_to_a_set_are_looked_at_too():
    [found] = apart(TOKENIZER, sets_of(("Tom adds 7",), ("adds", "Tom adds 8", "9"), (True, False)), 9)
    assert (found.negatives, found.order) == (("adds", "9"), (True, False))


def test_what_a_student_writes_is_compared_by_tokens_and_by_words(shared_data):
    rows = [tokenise(TOKENIZER, ["Tom adds 2"], 9), []]
    known = Known(TOKENIZER, rows)
    assert known.has(0, rows[0][0])
    assert known.has(0, tokenise(TOKENIZER, ["tom adds 2"], 9)[0]), "case does not count"
    assert not known.has(0, rows[0][0][1:]) and not known.has(1, rows[0][0])

    student = small_student(tokenizer=str(shared_data / "tokenizer_t5"))
    [row] = student.completions(["Tom adds 12 apples."], 32)
    other = [*student.tokenizer.convert_tokens_to_ids(["▁", "T", "o", "m"]), *row[1:]]
    assert other != row and student.text(other) == student.text(row)
    known = Known(student.tokenizer, [[row]])
    assert known.has(0, other)
    assert not known.has(0, student.completions(["Tom adds 1 2 apples."], 32)[0]), (
        "the same letters, other words"
    )
