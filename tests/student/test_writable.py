"""Labels that a tokenizer loses, found before anything is trained."""

import pytest

from qcrd import tasks
from qcrd.config import Own
from qcrd.hub.checkpoints import pretrained_tokenizer
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.student.writable import Lost, Writable, writable
from qcrd.tasks.own import task
from qcrd.types import Question

TEXT = task(Own())
CHOICE = task(Own(kind="choice", choices="c"))


def asked(*labels, choices=()):
    return [Question(f"q{i}", "?", label, choices) for i, label in enumerate(labels)]


@pytest.fixture(scope="module")
def words():
    return word_level_tokenizer(["a", "cup", "of", "tea", "7", "(", ")", "+", "/", "."], append_eos=True)


def test_what_comes_back_by_the_tasks_own_rule_can_be_written(words):
    assert not writable(TEXT, asked("a cup of tea", "tea ."), words, 9).lost  # a full stop counts for nothing
    equation = tasks.get("svamp")
    assert not writable(equation, asked("( 7 + 7 )", "7"), words, 9).lost
    assert writable(equation, asked("( 7 - 7 )"), words, 9).example == Lost("q0", "( 7 - 7 )", "( 7 7 )")


def test_lost_labels_are_counted_by_question_with_the_first_of_them(words):
    found = writable(TEXT, asked("tea", "a cup of rum", "rum", "rum"), words, 9)
    assert (found.questions, found.lost, found.cut, found.longest) == (4, 3, 0, 5)
    assert found.example == Lost("q1", "a cup of rum", "a cup of") and found.share == 0.75


def test_labels_that_the_limit_cuts_are_lost_and_counted_apart(words):
    found = writable(TEXT, asked("tea", "a cup of tea"), words, 4)
    assert (found.lost, found.cut, found.longest) == (1, 1, 5)
    assert found.example.written == "a cup of"


def test_choices_count_beside_the_labels(words):
    found = writable(CHOICE, asked("cup", "tea", choices=("cup", "tea", "rum")), words, 9)
    assert (found.lost, found.choices, found.lost_choices) == (0, 6, 2)
    assert found.example == Lost("q0", "rum", "")


def test_nothing_is_nothing(words):
    assert writable(TEXT, [], words, 9) == Writable(0, 0, 0, 0, 0, 0, None)


class Counting:
    """A tokenizer that notes what it is asked."""

    def __init__(self, tokenizer):
        self.tokenizer, self.encoded, self.decoded = tokenizer, [], 0

    def __call__(self, texts, **settings):
        self.encoded += texts
        return self.tokenizer(texts, **settings)

    def decode(self, *arguments, **settings):
        self.decoded += 1
        return self.tokenizer.decode(*arguments, **settings)


def test_equal_labels_are_encoded_and_decoded_once(words):
    counting = Counting(words)
    writable(CHOICE, asked(*["cup", "tea"] * 500, choices=("cup", "tea")), counting, 9)
    assert counting.encoded == ["cup", "tea"] and counting.decoded == 2


@pytest.mark.parametrize("label", ["x < 5", "{a, b}", "x^2", "π", "東京", "√2"])
def test_what_t5_has_no_tokens_for_is_found(shared_data, label):
    tokenizer = pretrained_tokenizer("student.tokenizer", str(shared_data / "tokenizer_t5"), None)
    found = writable(TEXT, asked(label, "x 5", "a cup of tea", "7:30 pm"), tokenizer, 32)
    assert (found.lost, found.example.label) == (1, label)
