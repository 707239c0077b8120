import pytest

from qcrd.tasks.reading import EquationTask
from qcrd.types import Question

TASK = EquationTask()
QUESTION = Question("q", "How many?", "( 84 / 2 )")


def parse(text, finish_reason="stop"):
    return TASK.parse(text, QUESTION, finish_reason)


@pytest.mark.parametrize(
    ("text", "rationale", "label", "answer"),
    [
        ("84 over 2 rounds. The answer is (84 / 2).", "84 over 2 rounds.", "( 84 / 2 )", "42"),
        ("Tom had 8 . the answer is ( 8 - 3 ) .", "Tom had 8 .", "( 8 - 3 )", "5"),
        ("Rationale: 84 / 2 = 42 points. Answer: 42", "84 / 2 = 42 points.", "42", "42"),
        ("Rationale: he gained 42, hence the answer is 42.0", "he gained 42", "42", "42"),
        ("So it is 6. Hence, the answer is Answer: 6 feet.", "So it is 6.", "6", "6"),
        ("A: It is so. The answer is (16 * 17) * 4.", "It is so.", "( ( 16 * 17 ) * 4 )", "1088"),
        ("It is so. The answer is $ 1,152.50.", "It is so.", "1152.5", "2305/2"),
        ("It is so. The answer is 30 - 23 = 7.", "It is so.", "( 30 - 23 )", "7"),
        ("It is so. The answer is 6 shirts / 3 shirts per minute = 2 minutes.", "It is so.", "2", "2"),
        ("The answer is 5.", None, "5", "5"),
    ],
)
def test_rationale_and_label_are_read(text, rationale, label, answer):
    parsed = parse(text)
    assert (parsed.rationale, parsed.label, parsed.answer, parsed.reason) == (rationale, label, answer, None)


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("He had 8 and gave 3.", "stop", "no cue"),
        ("", "stop", "no cue"),
        ("He had 8 and gave", "length", "truncated"),
        ("He had 8. The answer is", "stop", "no label"),
        ("He had 8. The answer is", "length", "truncated"),
        ("He had 8. The answer is (8 - ", "length", "truncated"),
        ("He had 8. The answer is ((491 - 21", "stop", "truncated"),
        ("He had some. The answer is (some - 8).", "stop", "not an equation"),
        ("He had some. The answer is unknown.", "stop", "not an equation"),
        ("Both. The answer is ((28 - 13) and (28 - 15)).", "stop", "not an equation"),
        ("Both. The answer is 71 tomatoes and 12 potatoes.", "stop", "not an equation"),
        ("He had 8. The answer is (8 / 0).", "stop", "not an equation"),
    ],
)
def test_an_answer_without_label_says_why(text, finish_reason, reason):
    parsed = parse(text, finish_reason)
    assert (parsed.label, parsed.answer, parsed.reason) == (None, None, reason)


@pytest.mark.parametrize(
    "following", ["\n\nQ: There are 15 trees. A: The answer is 6.", " Question: Tom has 3."]
)
def test_an_invented_next_question_is_not_read(following):
    text = "It is so. The answer is (84 / 2)."
    assert parse(text + following) == parse(text)


def test_labels_agree_by_value():
    assert TASK.correct("42", QUESTION)
    assert TASK.correct("( 84.0 / 2.0 )", QUESTION)
    assert TASK.correct("21 x 2", QUESTION)
    assert not TASK.correct("-42", QUESTION)
    assert not TASK.correct("42.0001", QUESTION)
    assert not TASK.correct("42 points", QUESTION)
    assert not TASK.correct("1 / 0", Question("q", "How many?", "2 / 0"))


def test_the_canonical_answer_is_exact():
    assert TASK.answer("7 / 2", QUESTION) == TASK.answer("3.5", QUESTION) == "7/2"
    assert TASK.answer("five", QUESTION) is None
