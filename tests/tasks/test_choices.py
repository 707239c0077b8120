"""The reading of choices: what answers say in ways that models have, and that nothing breaks it."""

import pytest
from daily import examples
from hypothesis import example, given
from hypothesis import strategies as st

from qcrd.tasks.choices import ChoiceTask, normal
from qcrd.types import Question

STEADY = examples(300)


class Lettered(ChoiceTask):
    lettered = True


TASK = Lettered()
QUESTION = Question("q", "Where?", "cup", ("cup", "tea cup", "washington d.c", "cup", "Relative's home"))
NLI = Question("n", "a</s>b", "neutral", ("entailment", "neutral", "contradiction"))


@pytest.mark.parametrize(
    ("text", "rationale", "label"),
    [
        ("It holds tea. The answer is (a) cup.", "It holds tea.", "cup"),
        ("It holds tea. So the answer is (a) cup.\n\nQ: And where", "It holds tea.", "cup"),
        ("It holds tea. The answer is (b).", "It holds tea.", "tea cup"),
        ("It holds tea. The answer is b", "It holds tea.", "tea cup"),
        ("It holds tea. the answer is ( b ) tea cup .", "It holds tea.", "tea cup"),
        ("It holds tea. Answer: b) tea cup", "It holds tea.", "tea cup"),
        ("It holds tea.\n\n**Answer:** (B) Tea Cup", "It holds tea.", "tea cup"),
        ("It holds tea. The correct answer is: **(b) tea cup**.", "It holds tea.", "tea cup"),
        ('It holds tea. The answer is "tea  cup".', "It holds tea.", "tea cup"),
        ("It is the capital. The answer is (c) Washington D.C.", "It is the capital.", "washington d.c"),
        ("It is the capital. The answer is washington d.c. Not far.", "It is the capital.", "washington d.c"),
        ("Family. The answer is (e) relative’s home.", "Family.", "Relative's home"),
        ("It is hot. The answer is cup, because tea is hot.", "It is hot.", "cup"),
        ("It is hot. Answer:\n(a) cup\n", "It is hot.", "cup"),
        ("The answer is cup", None, "cup"),
        ("The answer is hot. Tea is. The answer is (b) tea cup.", "The answer is hot. Tea is.", "tea cup"),
        ("I thought the answer is cup. No: the answer is tea cup.", "I thought", "tea cup"),
    ],
)
def test_rationale_and_label_are_read(text, rationale, label):
    parsed = TASK.parse(text, QUESTION)
    assert (parsed.rationale, parsed.label, parsed.reason) == (rationale, label, None)
    assert parsed.answer == normal(label)


@pytest.mark.parametrize(
    ("text", "finish_reason", "reason"),
    [
        ("It holds tea.", "stop", "no cue"),
        ("", "stop", "no cue"),
        ("It holds", "length", "truncated"),
        ("It holds tea. The answer is", "stop", "no label"),
        ("It holds tea. The answer is", "length", "truncated"),
        ("It holds tea. The answer is **", "length", "truncated"),
        ("It holds tea. The answer is (a) jug.", "stop", "not a choice"),
        ("It holds tea. The answer is (a) jug.", "length", "not a choice"),
        ("It holds tea. The answer is (x).", "stop", "not a choice"),
        ("It holds tea. The answer is (a) cup or (b) tea cup.", "stop", "not a choice"),
        ("It holds tea. The answer is (a) cup, (b) tea cup.", "stop", "not a choice"),
        ("It holds tea. The answer is one of these.", "stop", "not a choice"),
        ("It holds tea. The answer is not cup.", "stop", "not a choice"),
        ("It holds tea. The answer is (b) tea c", "stop", "truncated"),
        ("It holds tea. The answer is (b) tea c", "length", "truncated"),
        ("It holds tea. The answer is (", "length", "truncated"),
    ],
)
def test_an_answer_without_label_says_why(text, finish_reason, reason):
    parsed = TASK.parse(text, QUESTION, finish_reason)
    assert (parsed.label, parsed.answer, parsed.reason) == (None, None, reason)


LETTERS = Question("q", "Where?", "cup", ("bag", "cup", "tea cup", "not listening"))


@pytest.mark.parametrize(
    "said",
    [
        "(b) cup",
        "[b]",
        "[B] cup",
        "（b） cup",
        "（ｂ）",
        "b",
        "B",
        "B.",
        "b)",
        "Option B",
        "option (b)",
        "Choice b: cup",
        "Option B: cup",
        "(b) - cup",
        "B - cup",
        "B (cup)",
        "cup (b)",
        "(b) (cup)",
        "cup (which holds tea)",
        "cup, which holds tea",
        "(b) cup, which holds tea",
        r"\(\boxed{B}\)",
        "$B$",
        "`B`",
        '"B"',
        "option **B**",
        "**b** cup",
        "B cup",
        "B!",
        "{b}",
        "cup [b]",
        "(b) the cup",
        "the cup",
        "answer choice B",
        "B：cup",
        "（b）。",
        "cup because a bag is soft",
        "B because it holds tea",
        "(b), since it holds tea",
        r"\boxed{B}",
        r"$\boxed{\text{B}}$",
        r"\boxed{\text{(b) cup}}",
        r"\text{cup}",
        "**B**",
        "**(b) cup**",
        "(b) **cup**",
        '"cup"',
        "Cup!",
        "(b) cup<|im_end|>",
        "B..",
    ],
)
def test_a_choice_is_read_in_every_form(said):
    parsed = TASK.parse(f"It holds tea. The answer is {said}.", LETTERS)
    assert (parsed.label, parsed.rationale) == ("cup", "It holds tea.")


@pytest.mark.parametrize(
    "said",
    [
        "cup or bag",
        "cup (or bag)",
        "(b) cup, not (a) bag",
        "(a) and (b)",
        "both",
        "neither",
        "not cup",
        "not (b)",
        "(z)",
        "cup/bag",
        "(b)/(c)",
        "b or c",
        "B, C",
        "B and C",
        "either cup or bag",
        r"\boxed{A} or \boxed{B}",
        r"\boxed{A}, \boxed{B}",
        "bag (a) or cup (b)",
        "B (or C)",
        "(b) cup - or (c) tea cup",
        "cup - bag",
        "cup (not bag)",
        "B bag",
    ],
)
def test_several_choices_or_none_are_no_label(said):
    assert TASK.parse(f"It holds tea. The answer is {said}.", LETTERS).reason == "not a choice"


@pytest.mark.parametrize(
    "choices",
    [
        ("5", ".5", "50"),
        ("5!", "5", "50"),
        ("__init__", "init", "main"),
        ("It", "IT", "is"),
    ],
)
def test_different_choices_are_never_one_answer(choices):
    question = Question("q", "Which?", choices[0], choices)
    answers = [TASK.answer(choice, question) for choice in choices]
    assert len(set(answers)) == len(choices)
    for letter, choice in zip("abc", choices, strict=True):
        for written in (f"({letter}) {choice}", f"({letter}) {choice}.", f"({letter})"):
            assert TASK.parse(f"So. The answer is {written}", question).label == choice
        assert TASK.correct(choice, question) == (choice == choices[0])


@pytest.mark.parametrize("said", ["b", "B", "option b"])
def test_a_bare_letter_that_the_limit_cut_may_have_become_a_word_or_a_list(said):
    assert TASK.parse(f"So. The answer is {said}", LETTERS, "length").reason == "truncated"
    assert TASK.parse(f"So. The answer is {said}.", LETTERS, "length").label == "cup"


def test_a_whole_word_is_read_although_more_was_cut_off():
    for text in (
        "So. Answer: neutral\n\nPre",
        "So. Answer: neutral\n\nPremise: A dog",
        "So. Answer: neutral",
    ):
        for finish_reason in ("stop", "length"):
            parsed = ChoiceTask().parse(text, NLI, finish_reason)
            assert (parsed.rationale, parsed.label) == ("So.", "neutral")
    assert ChoiceTask().parse("So. Answer: entail", NLI).reason == "truncated"


def test_a_choice_that_another_begins_with_is_not_read_where_the_limit_cut_it():
    question = Question("q", "Where?", "bed", ("bed", "bed room", "sofa"))
    assert TASK.parse("So. The answer is (a) bed", question).label == "bed"
    assert TASK.parse("So. The answer is (a) bed", question, "length").reason == "truncated"
    assert TASK.parse("So. The answer is (a) bed.", question, "length").label == "bed"
    assert TASK.parse("So. The answer is (c) sofa", question, "length").label == "sofa"


def test_the_text_counts_where_letter_and_text_disagree():
    assert TASK.parse("So. The answer is (b) cup.", QUESTION).label == "cup"


def test_letters_are_no_answer_where_the_question_shows_none():
    assert ChoiceTask().parse("So. The answer is (b).", NLI).reason == "not a choice"
    assert ChoiceTask().parse("So. The answer is neutral.", NLI).label == "neutral"


def test_doubled_choices_are_one_answer():
    assert TASK.parse("So. The answer is (d).", QUESTION).answer == "cup"
    assert TASK.parse("So. The answer is (d) cup.", QUESTION).answer == "cup"


def test_labels_agree_by_normalised_text():
    assert TASK.correct("Cup", QUESTION) and TASK.correct(" cup. ", QUESTION)
    assert not TASK.correct("tea cup", QUESTION) and not TASK.correct("cups", QUESTION)
    assert not TASK.correct("(a)", QUESTION)
    assert TASK.answer("jug", QUESTION) is None and TASK.answer("", QUESTION) is None


RATIONALES = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n\r:"), max_size=200)


@STEADY
@given(RATIONALES, st.sampled_from(QUESTION.choices), st.sampled_from(["stop", "length"]))
@example("The answer is (b) tea cup. It is so", "cup", "stop")
def test_a_target_gives_its_label_back(rationale, label, finish_reason):
    parsed = TASK.parse(TASK.target(rationale, label), QUESTION, finish_reason)
    assert (parsed.label, parsed.answer) == (label, normal(label))


@STEADY
@given(
    st.text(max_size=300)
    | st.lists(
        st.sampled_from(
            [*"abe().,:;*\n \"'\t٣²", "The answer is", "Answer:", "cup", "tea", "because", "or", "Q:", "\nQ:"]
        ),
        max_size=60,
    ).map(" ".join),
    st.sampled_from(["stop", "length"]),
)
def test_rubbish_never_raises_and_has_a_label_or_a_reason(text, finish_reason):
    parsed = TASK.parse(text, QUESTION, finish_reason)
    assert (parsed.label is None) == (parsed.reason is not None) == (parsed.answer is None)
    assert parsed.label is None or parsed.label in QUESTION.choices
    assert TASK.answer(text, QUESTION) in {None, *map(normal, QUESTION.choices)}


@pytest.mark.parametrize(
    "part",
    [
        "Answer:",
        "the answer is ",
        "the the ",
        " ",
        "\n",
        "*",
        "(",
        "Answer: cup. . . ",
        "Answer: a, as ",
        "so ",
    ],
)
def test_ten_thousand_characters_of_rubbish_are_read(part):
    rubbish = (part * 10_000)[:10_000]
    assert TASK.parse(f"{rubbish}\nThe answer is (b) tea cup.", QUESTION).label == "tea cup"
    assert TASK.parse(f"The answer is{rubbish}", QUESTION, "length").label in (None, "cup")
