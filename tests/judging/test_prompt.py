"""The prompt of Table 8, and a user's own."""

import pytest

from qcrd import config, tasks
from qcrd.errors import ConfigError
from qcrd.judging.prompt import EMPTY, prompt, template

TASK = tasks.get("arithmetic")
QUESTION = TASK.load(config.Task(train=1, validation=1, test=1)).test[0]


def test_the_prompt_says_task_question_answer_and_both_explanations_in_order():
    asked = prompt(template(), TASK, QUESTION, "because of {this}", "since that")
    text = asked.text
    parts = ["arithmetic", QUESTION.text, QUESTION.label, "because of {this}", "since that", '"Better: 1"']
    places = [text.index(part) for part in parts]
    assert places == sorted(places)
    assert asked.messages == [{"role": "user", "content": text}]
    assert prompt(template(), TASK, QUESTION, "since that", "because of {this}").text != text


def test_a_student_that_is_silent_is_shown_as_such():
    assert f"Explanation 2: {EMPTY}" in prompt(template(), TASK, QUESTION, "so", "").text


def test_a_users_file_stands_in_for_it(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("{question}|{answer}|{first}|{second}\n")
    monkeypatch.setenv("PROMPTS", str(tmp_path))
    asked = prompt(template("$PROMPTS/mine.txt"), TASK, QUESTION, "a", "b")
    assert asked.text == f"{QUESTION.text}|{QUESTION.label}|a|b"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{question} {answer} {first}", "lacks {second}"),
        ("{question} {answer} {first} {second} {gold}", "{gold}.*allowed: {task}"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_asked_with_is_refused(tmp_path, content, message):
    if content is not None:
        (tmp_path / "mine.txt").write_text(content)
    with pytest.raises(ConfigError, match=message):
        template(str(tmp_path / "mine.txt"))
