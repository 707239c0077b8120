"""Labels in free text: read out of answers and compared."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd.tasks.text import LONGEST, TextTask
from qcrd.types import Question

TASK = TextTask()
QUESTION = Question("q", "Which river runs through Vienna?", "the Danube")


@pytest.mark.parametrize(
    ("answer", "rationale", "label"),
    [
        ("Vienna lies on it. The answer is the Danube.", "Vienna lies on it.", "the Danube"),
        ("It is long. So the answer is: **The Danube**. It is blue.", "It is long.", "The Danube"),
        ("Reasons.\nAnswer: Danube\nMore words", "Reasons.", "Danube"),
        ('First "the answer is" is said. The answer is "Danube"', 'First "the answer is" is said.', "Danube"),
        ("A saint. The answer is St. Pölten. It is near.", "A saint.", "St. Pölten"),
        ("A poet. The answer is J. W. Goethe.", "A poet.", "J. W. Goethe"),
        ("A sum. The answer is 3.5 km!", "A sum.", "3.5 km"),
        ("The answer is Danube. Q: Which is next? The answer is Rhine.\nQ: And?", None, "Danube"),
    ],
)
def test_the_label_is_what_follows_the_last_cue_up_to_the_end_of_its_sentence(answer, rationale, label):
    if "Q:" in answer:
        answer = answer.replace(" Q:", "\nQ:")
    parsed = TASK.parse(answer, QUESTION)
    assert (parsed.rationale, parsed.label, parsed.reason) == (rationale, label, None)


@pytest.mark.parametrize(
    ("answer", "finish_reason", "reason"),
    [
        ("It is the Danube.", "stop", "no cue"),
        ("It is the Danu", "length", "truncated"),
        ("Well. The answer is", "stop", "no label"),
        ("Well. The answer is", "length", "truncated"),
        ("Well. The answer is the Dan", "length", "truncated"),
        ("Well. The answer is " + "very " * 60 + "long.", "stop", "no label"),
    ],
)
def test_an_answer_without_a_label_says_why(answer, finish_reason, reason):
    parsed = TASK.parse(answer, QUESTION, finish_reason)
    assert (parsed.label, parsed.answer, parsed.reason) == (None, None, reason)


def test_a_whole_label_counts_although_the_limit_cut_what_came_after():
    assert TASK.parse("Well. The answer is Danube. It fl", QUESTION, "length").label == "Danube"


@pytest.mark.parametrize("label", ["the Danube", "The  danube.", '"the Danube"'])
def test_labels_agree_where_their_normalised_texts_do(label):
    assert TASK.correct(label, QUESTION)


@pytest.mark.parametrize("label", ["Danube", "the Rhine", "", " . "])
def test_other_texts_are_wrong(label):
    assert not TASK.correct(label, QUESTION)


WORDS = st.lists(st.text("abcdefghij", min_size=4, max_size=9), min_size=1, max_size=6).map(" ".join)


@given(WORDS, WORDS)
def test_a_target_is_read_back(rationale, label):
    parsed = TASK.parse(TASK.target(f"{rationale}.", label), QUESTION)
    assert (parsed.rationale, parsed.label) == (f"{rationale}.", label)


@given(st.text(max_size=300), st.sampled_from(["stop", "length"]))
def test_reading_never_raises_and_gives_a_label_or_a_reason(text, finish_reason):
    parsed = TASK.parse(text, QUESTION, finish_reason)
    assert (parsed.label is None) == (parsed.answer is None) == (parsed.reason is not None)
    assert parsed.label is None or 0 < len(parsed.label) <= LONGEST
