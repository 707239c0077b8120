"""Files of instructions and examples: this project's own, and a user's."""

import re
from collections import Counter
from fractions import Fraction

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.tasks import TASKS
from qcrd.tasks.choices import normal
from qcrd.tasks.nli import EOS, LABELS
from qcrd.tasks.shots import packaged, parse, read
from qcrd.types import Question

WITH_EXAMPLES = ["svamp", "cqa", "anli1", "esnli"]


def question_of(name, asked):
    """The question that an example asks, without its label."""
    if name == "cqa":
        choices = tuple(re.findall(r"^\([a-e]\) (.+)$", asked, re.MULTILINE))
        return Question("q", asked, "", choices)
    if name == "svamp":
        return Question("q", asked, "")
    premise, hypothesis = re.fullmatch(r"Premise: (.+)\nHypothesis: (.+)", asked).groups()
    return Question("q", f"{premise}{EOS}{hypothesis}", "", LABELS)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_every_own_example_is_asked_as_the_task_asks_and_gives_an_answer(name):
    task, shots = TASKS[name], packaged(f"{name}.txt")
    assert shots.system and 5 <= len(shots.examples) <= 7
    for asked, answered in shots.examples:
        question = question_of(name, asked)
        assert task.prompt(question).question == asked
        parsed = task.parse(f" {answered}\n\nQ: What next?", question)
        assert parsed.reason is None and parsed.rationale
        assert task.target(parsed.rationale, parsed.label)
        assert not any(stop in answered for stop in task.stop)


def test_the_examples_answers_are_right_and_spread_over_the_labels():
    """The labels that their authors meant, read anew; an arithmetic one is checked by its own sum."""
    for name in ("anli1", "esnli"):
        assert Counter(answer_of(name)) == {"entailment": 2, "neutral": 2, "contradiction": 2}
    assert answer_of("anli1") == [
        "entailment",
        "contradiction",
        "neutral",
        "contradiction",
        "neutral",
        "entailment",
    ]
    assert answer_of("esnli") == [
        "entailment",
        "neutral",
        "contradiction",
        "contradiction",
        "neutral",
        "entailment",
    ]
    assert answer_of("cqa") == [
        "bathtub",
        "glasses",
        "relief",
        "have fresh rolls by morning",
        "lake",
        "snap",
    ]
    letters = [re.search(r"\((.)\) [^(]*$", answer)[1] for _, answer in packaged("cqa.txt").examples]
    assert max(Counter(letters).values()) <= 2 and set(letters) == set("abcde")
    for (_, answered), value in zip(packaged("svamp.txt").examples, answer_of("svamp"), strict=True):
        assert Fraction(value) == int(re.findall(r"= (\d+)", answered)[-1])


def answer_of(name):
    return [
        TASKS[name].parse(answered, question_of(name, asked)).answer
        for asked, answered in packaged(f"{name}.txt").examples
    ]


@pytest.mark.slow
def test_no_own_example_is_a_question_of_the_data_sets(shared_data):
    for name in WITH_EXAMPLES:
        splits = TASKS[name].load(config.Task(name=name, source=str(shared_data / "dss" / "datasets.zip")))
        known = {
            normal(part)
            for question in splits.train + splits.validation + splits.test
            for part in question.text.split("\nAnswer Choices:")[0].split(EOS)
        }
        for asked, _ in packaged(f"{name}.txt").examples:
            parts = question_of(name, asked).text.split("\nAnswer Choices:")[0].split(EOS)
            assert not known & set(map(normal, parts))


TEXT = (
    "Say it.\nThen stop.\n\n"
    "Q: One?\nMore of it?\nA: Because. The answer is 1.\n\n"
    "Q: Two?\nA: So.\n\nThe answer is 2.\n"
)
EXPECTED = (
    "Say it.\nThen stop.",
    (("One?\nMore of it?", "Because. The answer is 1."), ("Two?", "So.\n\nThe answer is 2.")),
)


def test_a_file_is_instructions_then_questions_and_answers_by_turns():
    shots = parse(TEXT, "here")
    assert (shots.system, shots.examples) == EXPECTED


@pytest.mark.parametrize(
    "written",
    [TEXT.replace("\n", "\r\n").encode(), TEXT.encode("utf-8-sig"), TEXT.replace("\n\n", "\n \n\n").encode()],
)
def test_a_users_file_may_come_from_another_system_or_editor(written, tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_bytes(written)
    monkeypatch.setenv("PROMPTS", str(tmp_path))
    shots = read("$PROMPTS/mine.txt")
    answers = tuple((q, re.sub(r"\n\s*\n", "\n\n", a)) for q, a in shots.examples)
    assert (shots.system, answers) == EXPECTED


def test_instructions_or_examples_alone_are_enough():
    assert parse("Say it.", "here").examples == ()
    assert parse("Q: One?\nA: 1", "here").system == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "Say it.\n\nQ: One?",
        "Say it.\n\nQ: One?\nQ: Two?\nA: 2",
        "Say it.\nQ: One?\nA: 1",
        "Say it.\n\nQ:\nA: 1",
        "Say it.\n\nQ: One?\nA:",
    ],
)
def test_another_form_is_refused_with_what_is_expected(text):
    with pytest.raises(ConfigError, match=r"^here: .*expected instructions.*blank line before each Q"):
        parse(text, "here")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00Q")
    for path in ("/nowhere/mine.txt", str(tmp_path), str(tmp_path / "binary"), "$UNSET_FOR_THIS_TEST/x"):
        with pytest.raises(ConfigError, match=r"task.prompt: .*cannot be read as a text file"):
            read(path)


WORDS = st.text(st.sampled_from("ab ,.?\n"), max_size=30).map(str.strip).filter(bool)
LINE = st.text(st.sampled_from("ab ,.?"), max_size=30).map(str.strip).filter(bool)


@examples(100)
@given(WORDS, st.lists(st.tuples(LINE, WORDS), max_size=4))
def test_what_was_written_is_read(system, examples):
    text = "\n\n".join([system, *(f"Q: {q}\nA: {a}" for q, a in examples)])
    shots = parse(text, "here")
    assert shots.system == system
    assert shots.examples == tuple(examples)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_a_users_shots_stand_in_for_the_tasks_own(name):
    shots = parse("Mine.\n\nQ: One?\nA: The answer is 1.", "here")
    prompt = TASKS[name].prompt(question_of(name, packaged(f"{name}.txt").examples[0][0]), shots)
    assert (prompt.system, prompt.examples) == (shots.system, shots.examples)
