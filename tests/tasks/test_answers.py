"""Where an answer ends, what announces its label, and what in it is thinking."""

import json

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd.tasks import get
from qcrd.tasks.answers import first_answer, split
from qcrd.tasks.choices import ChoiceTask
from qcrd.tasks.reading import EquationTask, Reading
from qcrd.tasks.text import TextTask
from qcrd.types import Question

STEADY = examples(200)
TASK = EquationTask()
QUESTION = Question("q", "How many?", "5")


def parse(text, finish_reason="stop", task=TASK):
    return task.parse(text, QUESTION, finish_reason)


def with_reading(**settings):
    task = EquationTask()
    task.reading = Reading(**settings)
    return task


@pytest.mark.parametrize(
    "cued",
    [
        "#### 5",
        "\n#### 5",
        "\nA: 5",
        " A: 5 apples.",
        "\nAnswer: 5",
        "**Answer**: 5",
        "**Answer:** 5",
        "### Answer: 5",
        "\n### Answer\n5",
        "\n**Answer**\n5",
        "\n\n**Final Answer:** 5",
        "\nFinal answer\n5",
        "Answer = 5",
        "\nANSWER: 5",
        "The answer is 5",
        "The answer is: 5",
        "the answer should be 5",
        "The answer must be 5.",
        "The answer equals 5",
        "The answer has to be 5.",
        "The answer would be 5.",
        "The correct answer: 5",
        "The correct final answer is 5",
        "My final answer: 5",
        "my answer is 5",
        "Your answer is 5",
        "So the answer is 5",
        "Thus, the answer is\n5",
        "Hence, the final answer is: $\\boxed{5}$",
        "The answer to the question is 5.",
        "The answer: **5**",
        "**The answer is 5.**",
        "\\boxed{5}",
        "So $\\boxed{5}$.",
        "\\[\n\\boxed{5}\n\\]",
        "Therefore \\fbox{5}",
        "The answer is 5<|im_end|>",
        "The answer is 5.<|eot_id|>The answer is 6.",
        "The answer is 5.</s>",
    ],
)
def test_every_cue_is_known_and_none_is_left_in_the_rationale(cued):
    parsed = parse(f"8 - 3 = 5. {cued}")
    assert (parsed.label, parsed.rationale) == ("5", "8 - 3 = 5.")


@pytest.mark.parametrize(
    "text",
    [
        "We need the answer. It is 5",
        "5 is the answer.",
        "#### Step 1\n8 - 3",
        "A: Tom had 8. He ate 3.",
        "The answer isn't 5.",
    ],
)
def test_what_announces_no_label_is_no_cue(text):
    assert parse(text).reason == "no cue"


def test_a_cue_is_known_also_behind_a_digit():
    assert parse("56 / 4 = 14The answer is 14").answer == "14"


def test_calculator_marks_are_in_no_rationale():
    parsed = parse("48/2 = <<48/2=24>>24. 48+24 = <<48+24=72>>72\n#### 72")
    assert (parsed.answer, parsed.rationale) == ("72", "48/2 = 24. 48+24 = 72")


@pytest.mark.parametrize(
    "marks", [("<think>", "</think>"), ("<thinking>", "</thinking>"), ("[THINK]", "[/THINK]")]
)
def test_thinking_is_neither_cue_nor_label(marks):
    begin, end = marks
    thinking = "Maybe the answer is 11. Question: how many? No."
    parsed = parse(f"{begin}\n{thinking}\n{end}\n\nHe gave 3. The answer is 5.")
    assert (parsed.answer, parsed.rationale) == ("5", "He gave 3.")
    assert parse(f"{thinking}{end}\nHe gave 3. The answer is 5.").rationale == "He gave 3."
    for finish_reason in ("stop", "length"):
        cut = parse(f"{begin}{thinking} The answer is 3.\n", finish_reason)
        assert (cut.answer, cut.reason) == (None, "truncated")


@pytest.mark.parametrize("label", ["The answer is 5.", "5", "**5**", "\\boxed{5}", "5 apples"])
def test_thinking_is_the_rationale_where_only_the_label_follows(label):
    parsed = parse(f"<think>8 - 3 = 5</think>\n\n{label}")
    assert (parsed.answer, parsed.rationale) == ("5", "8 - 3 = 5")


def test_a_bare_choice_or_text_behind_thinking_is_the_label():
    question = Question("q", "Where?", "cup", ("bag", "cup"))
    assert ChoiceTask().parse("<think>tea</think>cup", question).label == "cup"
    assert TextTask().parse("<think>A river.</think>The Danube.", QUESTION).label == "The Danube"


@pytest.mark.parametrize(
    ("setting", "rationale"), [("answer", "He ate."), ("thinking", "8 - 3"), ("both", "8 - 3\nHe ate.")]
)
def test_a_setting_says_which_part_is_the_rationale(setting, rationale):
    task = with_reading(thinking=setting)
    assert parse("<think>8 - 3</think>He ate. The answer is 5.", task=task).rationale == rationale


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The answer is 1", None),
        ("The answer is 1.", None),
        ("The answer is $1", None),
        ("The answer is 1,", None),
        ("The answer is 3/", None),
        ("The answer is 14 apples.", None),
        ("The answer is \\boxed{14}", None),
        ("The answer is 5. The answer is 1", None),
        ("The answer is 14.\n", "14"),
        ("The answer is 14\n", "14"),
        ("The answer is 14. So he", "14"),
        ("#### 14", None),
        ("8 - 3", None),
    ],
)
def test_a_label_that_the_token_limit_may_have_cut_is_truncated(text, expected):
    parsed = parse(text, "length")
    assert parsed.answer == expected and (expected is not None or parsed.reason == "truncated")


@pytest.mark.parametrize(
    "text",
    [
        "Step 1\nQ: how many?\nA: 8 - 3. The answer is 5.",
        "Question: how many?\n8 - 3 = 5. The answer is 5.",
        "Let us restate the question: how many are left? 8 - 3 = 5. The answer is 5.",
        "The answer is 5.\nQ: And how many pears?\nA: The answer is 6.",
        "8 - 3 = 5. The answer is 5. Question: Tom has 3. The answer is 6.",
        "\n#### 5\n\nQ: Tom has 5 apples and eats 3 of them. How many?\nA: 2",
    ],
)
def test_a_next_question_follows_an_answer_with_its_label_alone(text):
    assert parse(text).answer == "5"


def test_a_long_question_behind_an_empty_line_is_a_next_one_in_any_case():
    text = "It is 5.\n\nQ: Tom has 5 apples and eats 3 of them. How many are left?\nA: The answer is 2."
    assert parse(text).reason == "no cue"


@pytest.mark.parametrize(
    ("text", "label"),
    [("84 / 2 = 42. So 42 points.", "42"), ("It begins at 5:30", None), ("It is so.", None)],
)
def test_without_a_cue_the_last_number_counts_where_that_is_set_and_is_told_apart(text, label):
    assert parse(text).reason == "no cue"
    parsed = parse(text, task=with_reading(uncued="last"))
    assert (parsed.label, parsed.uncued) == (label, label is not None)
    assert parse(text, "length", with_reading(uncued="last")).reason == "truncated"


def test_a_short_statement_is_svamps_own_reading_and_can_be_refused():
    svamp = get("svamp")
    assert svamp.parse("84 / 2 = 42.", QUESTION).uncued
    assert parse("84 / 2 = 42.", task=with_reading(uncued="refuse")).reason == "no cue"


def test_without_a_cue_the_choice_named_last_counts_where_that_is_set():
    question = Question("q", "Where?", "cup", ("bag", "cup", "tea cup"))
    task = type("Lettered", (ChoiceTask,), {"lettered": True, "reading": Reading(uncued="last")})()
    assert task.parse("Not a bag. It is the tea cup.", question).label == "tea cup"
    assert task.parse("The tea cup is (b).", question).label == "cup"
    assert task.parse("Hiccups.", question).reason == "no cue"


@STEADY
@given(
    st.lists(
        st.sampled_from(
            [
                "<think>",
                "</think>",
                "####",
                "\n",
                " ",
                "5",
                "Q:",
                "A:",
                "Answer:",
                "\\boxed{",
                "}",
                "the answer is",
                "Question:",
                "$",
                "**",
                "<|im_end|>",
                "<<",
                ">>",
                ".",
                "½",
                "\\frac{1}{2}",
                "e",
                "^",
                "(",
            ]
        ),
        max_size=40,
    ).map("".join),
    st.sampled_from(["stop", "length"]),
)
def test_reading_never_raises_and_gives_a_label_or_a_reason(text, finish_reason):
    for reading in (Reading(), Reading(uncued="last", thinking="both")):
        task = EquationTask()
        task.reading = reading
        parsed = task.parse(text, QUESTION, finish_reason)
        assert (parsed.label is None) == (parsed.answer is None) == (parsed.reason is not None)
        assert split(text).text is not None and first_answer(text)[0] in text


@pytest.mark.parametrize(
    "part",
    [
        "Question:",
        "\nQ:",
        " ",
        "\n",
        "*",
        "A:",
        ". A:",
        "####",
        "$",
        "\\boxed{",
        "<think>",
        "</think>",
        "<<",
        "the answer is",
        "answer",
        "#",
        "\\frac{",
        "½",
        "5 ",
        "5,",
        "(",
    ],
)
def test_ten_thousand_characters_of_rubbish_cost_little(part):
    rubbish = (part * 10_000)[:10_000]
    parse(f"{rubbish} The answer is 5.")
    parse(f"The answer is {rubbish}", "length")


def test_the_recorded_cases_are_read_right(shared_data):
    lettered = type("Lettered", (ChoiceTask,), {"lettered": True})()
    wrong = []
    with open(shared_data / "cases" / "answers.jsonl", encoding="utf-8") as file:
        cases = [json.loads(line) for line in file]
    for case in cases:
        if case["kind"] == "equation":
            parsed = parse(case["text"], case["finish_reason"])
            right = parsed.answer == case["value"]
        else:
            question = Question("q", "?", case["choices"][0], tuple(case["choices"]))
            parsed = lettered.parse(case["text"], question, case["finish_reason"])
            right = parsed.label == case["answer"]
        if not right or ("rationale" in case and parsed.rationale != case["rationale"]):
            wrong.append((case, parsed))
    assert len(cases) >= 74 and not wrong


@pytest.mark.slow
def test_all_gold_answers_of_gsm8k_are_read(shared_data):
    for name, count in (("test", 1319), ("train", 7473)):
        with open(shared_data / "gsm8k" / f"{name}.jsonl", encoding="utf-8") as file:
            answers = [json.loads(line)["answer"] for line in file]
        read = [parse(answer) for answer in answers]
        gold = [answer.rpartition("####")[2].strip().replace(",", "") for answer in answers]
        assert [p.answer for p in read] == gold and len(gold) == count
        assert not any("<<" in p.rationale for p in read)
