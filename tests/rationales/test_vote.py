import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.rationales.sets import build_set, sides
from qcrd.rationales.statistics import set_statistics, vote_statistics
from qcrd.rationales.vote import vote
from qcrd.tasks.arithmetic import Arithmetic
from qcrd.types import Parsed, Question, RationaleSet

TASK = Arithmetic()
QUESTION = Question("q", "How many ?", "( 8 - 3 )")


def sample(label, rationale="because"):
    """A parsed sample: its answer is the label's value, None where the label is none."""
    answer = TASK.answer(label, QUESTION) if label is not None else None
    return Parsed(rationale, label if answer else None, answer, None if answer else "no label")


def test_answers_are_counted_by_value_and_not_by_how_they_are_written():
    result = vote("q", [sample("7"), sample("( 8 - 3 )"), sample("5"), sample("7"), sample("2 + 3")])
    assert (result.answer, result.label) == ("5", "( 8 - 3 )")  # as first sampled
    assert (result.votes, result.candidates, result.tie) == (3, 5, False)


def test_the_first_sampled_of_equals_wins_and_is_marked():
    result = vote("q", [sample("9"), sample("4"), sample("7"), sample("7"), sample("4")])
    assert (result.answer, result.votes, result.tie) == ("4", 2, True)


def test_what_cannot_be_parsed_is_no_candidate():
    result = vote("q", [sample(None), sample("3"), sample(None), sample("nothing")])
    assert (result.answer, result.votes, result.candidates, result.tie) == ("3", 1, 1, False)
    nobody = vote("q", [sample(None)] * 3)
    assert (nobody.label, nobody.answer, nobody.votes, nobody.candidates) == (None, None, 0, 0)
    assert not nobody.tie


ANSWERS = st.lists(st.sampled_from([None, "1", "2", "3"]), max_size=9)


@given(answers=ANSWERS)
@examples(100)
def test_the_winner_has_most_votes_and_nobody_as_early_has_as_many(answers):
    result = vote("q", [sample(a) for a in answers])
    counts = {a: answers.count(a) for a in answers if a is not None}
    if not counts:
        assert result.answer is None
        return
    best = [a for a in counts if counts[a] == max(counts.values())]
    assert result.answer == min(best, key=answers.index)
    assert result.votes == counts[result.answer]
    assert result.candidates == sum(counts.values())
    assert result.tie == (len(best) > 1)


SAMPLES = [
    sample("5", "right"),
    sample("7", "wrong"),
    sample("( 8 - 3 )", "right"),
    sample("7", None),
    sample("7", "wrong again"),
    sample(None, "no label"),
    sample("6", "  Right\n"),  # the words of a positive, and another answer
]


def test_positives_have_the_gold_answer_and_all_other_rationales_are_negatives():
    found = build_set(vote("q", SAMPLES), SAMPLES, "gold", "gold", ("( 8 - 3 )", "5"))
    assert found.label == "( 8 - 3 )"
    assert found.positives == ("right", "right")  # doubles are votes
    assert found.negatives == ("wrong", "wrong again")  # and never one that is not there
    assert found.order == (True, False, True, False)


def test_positives_have_the_majority_s_answer_where_gold_may_not_be_known():
    found = build_set(vote("q", SAMPLES), SAMPLES, "teacher", "majority", None)
    assert found.label == "7"
    assert found.positives == ("wrong", "wrong again")
    assert found.negatives == ("right", "right", "  Right\n")
    assert (found.unread, found.equal) == (1, 0)


def test_an_unreadable_label_makes_no_negative_by_itself():
    found = build_set(vote("q", SAMPLES), SAMPLES, "gold", "gold", ("( 8 - 3 )", "5"))
    assert (found.unread, found.equal) == (1, 1)
    found = build_set(vote("q", SAMPLES), SAMPLES, "gold", "gold", ("( 8 - 3 )", "5"), unread="negative")
    assert found.negatives == ("wrong", "wrong again", "no label")
    assert (found.unread, found.equal) == (0, 1)


@pytest.mark.parametrize("unread", ["drop", "negative"])
@pytest.mark.parametrize("text", ["right", "RIGHT", "\tright ", "\uff52ight"])
def test_a_rationale_with_the_words_of_a_positive_is_no_negative(text, unread):
    for label in ("7", None):
        drawn = [sample(label, text), sample("5", "right"), sample("7", "right, or not")]
        found = build_set(vote("q", drawn), drawn, "gold", "gold", ("5", "5"), unread)
        assert (found.positives, found.negatives) == (("right",), ("right, or not",))
        assert found.unread + found.equal == 1


def test_each_sample_is_told_what_it_is():
    assert sides(SAMPLES, "5") == ["positive", "negative", "positive", None, "negative", "unread", "equal"]
    assert set(sides(SAMPLES, None)) == {"negative", "unread", None}, (
        "without an answer nothing is a positive"
    )


def test_the_majority_can_choose_rationales_for_the_gold_label():
    found = build_set(vote("q", SAMPLES), SAMPLES, "gold", "majority", ("( 8 - 3 )", "5"))
    assert (found.label, found.positives) == ("( 8 - 3 )", ("wrong", "wrong again"))


def test_gold_that_is_needed_and_not_given_is_refused():
    with pytest.raises(ValueError, match="need the gold label"):
        build_set(vote("q", SAMPLES), SAMPLES, "teacher", "gold", None)


@pytest.mark.parametrize(
    "labels, denoise, gold", [("gold", "gold", ("1", "1")), ("teacher", "majority", None)]
)
@given(answers=ANSWERS, silent=st.sets(st.integers(0, 8)))
@examples(60)
def test_every_rationale_is_on_one_side_or_counted_as_on_none(labels, denoise, gold, answers, silent):
    samples = [sample(a, None if i in silent else f"r{i}") for i, a in enumerate(answers)]
    found = build_set(vote("q", samples), samples, labels, denoise, gold)
    every = [s.rationale for s in samples if s.rationale and s.answer is not None]
    assert sorted((*found.positives, *found.negatives)) == sorted(every)
    assert len(every) + found.unread == sum(s.rationale is not None for s in samples)
    answer = {s.rationale: s.answer for s in samples}
    assert all(answer[r] is not None for r in found.positives)


def test_no_positives_where_nothing_can_be_parsed():
    samples = [sample(None, "a"), sample(None, "b")]
    found = build_set(vote("q", samples), samples, "teacher", "majority", None)
    assert (found.label, found.positives, found.negatives, found.unread) == (None, (), (), 2)


def test_vote_statistics_worked_by_hand():
    samples = [
        [sample("5"), sample("5"), sample("7")],  # strict and right: 2 of 3
        [sample("4"), sample("6"), sample(None)],  # a tie, first sampled right: 1 of 2
        [sample("1"), sample("1"), sample("2")],  # strict and wrong: 2 of 3
        [sample(None), sample(None), sample(None)],  # no vote
    ]
    found = vote_statistics(samples, [vote("q", each) for each in samples], ["5", "4", "2", "9"])
    assert found["questions"] == 4
    assert found["samples"] == 12
    assert found["single"] == pytest.approx(100 * 4 / 12)
    assert found["vote"] == pytest.approx(50.0)
    assert found["agreement"] == pytest.approx(100 * (2 / 3 + 1 / 2 + 2 / 3) / 3)
    assert (found["ties"], found["majority_right"], found["majority_wrong"]) == (1, 1, 1)
    assert found["unparsed"] == 4 == found["unparsed.no label"]


def test_set_statistics_worked_by_hand():
    sets = [
        RationaleSet("a", "1", ("x", "x", "y"), ("z",)),
        RationaleSet("b", None, (), ("z", "z"), unread=2, equal=1),
        RationaleSet("c", "2", ("x",), ()),
        RationaleSet("d", "3", (), ()),
    ]
    assert set_statistics(sets) == {
        "without_label": 1,
        "without_positive": 2,
        "without_negative": 2,
        "unread": 2,
        "equal_positive": 1,
        "positives": 1.0,
        "negatives": 0.75,
        "distinct_positives": 0.75,
        "distinct_negatives": 0.5,
    }
