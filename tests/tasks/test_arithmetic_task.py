import re
from collections import Counter
from fractions import Fraction

import pytest
from tokenizers.pre_tokenizers import Punctuation, Sequence, WhitespaceSplit

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import get
from qcrd.tasks.arithmetic import LARGEST, SMALLEST, generate, vocabulary
from qcrd.tasks.problems import ASIDES, ONE_STEP, TWO_STEP

TASK = get("arithmetic")
SPLIT = Sequence([WhitespaceSplit(), Punctuation()])


def tokens(text):
    return [token for token, _ in SPLIT.pre_tokenize_str(text)]


@pytest.fixture(scope="module")
def splits():
    return TASK.load(config.Task())


@pytest.fixture(scope="module")
def problems(splits):
    return [*splits.train, *splits.validation, *splits.test, *generate(3, 4000)]


def test_sizes_are_the_papers_unless_the_configuration_says_otherwise(splits):
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [720, 80, 200]
    small = TASK.load(config.Task(train=5, validation=6, test=7))
    assert [len(small.train), len(small.validation), len(small.test)] == [5, 6, 7]


def test_the_seed_decides_the_problems(splits):
    assert TASK.load(config.Task()).fingerprint() == splits.fingerprint()
    assert TASK.load(config.Task(seed=1)).fingerprint() != splits.fingerprint()


def test_the_size_of_one_split_changes_no_other_and_smaller_ones_are_parts_of_larger_ones(splits):
    other = TASK.load(config.Task(train=100, test=1000))
    assert other.train == splits.train[:100]
    assert other.validation == splits.validation
    assert other.test[:200] == splits.test


@pytest.mark.slow
def test_no_question_occurs_twice_in_or_between_the_splits_of_any_seed_and_the_teachers_problems():
    kept = {}
    for seed in range(3):
        splits = TASK.load(config.Task(seed=seed, test=1000))
        for split in ("train", "validation", "test"):
            texts = [question.text for question in getattr(splits, split)]
            assert len(set(texts)) == len(texts)
            kept.setdefault(split, set()).update(texts)
        kept.setdefault("teacher", set()).update(question.text for question in generate(seed, 3000))
    assert sum(map(len, kept.values())) == len(set().union(*kept.values()))


def test_ids_name_split_and_number(splits):
    assert splits.train[17].id == "arithmetic-train-17"
    ids = [question.id for split in (splits.train, splits.validation, splits.test) for question in split]
    assert len(set(ids)) == 1000


def test_excluded_texts_are_not_generated():
    first = generate(0, 50)
    again = generate(0, 50, exclude=frozenset(question.text for question in first))
    assert not {question.text for question in first} & {question.text for question in again}


@pytest.mark.slow
def test_results_are_whole_and_positive_and_labels_in_normal_form(problems):
    for question in problems:
        result = Fraction(TASK.answer(question.label, question))
        assert result > 0 and result.denominator == 1
        assert TASK.parse(f"The answer is {question.label}", question).label == question.label


def test_every_number_of_the_label_stands_in_the_question_and_in_the_rationale(problems):
    for question in problems:
        numbers = set(re.findall(r"\d+", question.label))
        assert numbers <= set(re.findall(r"\d+", question.text))
        assert numbers <= set(re.findall(r"\d+", question.rationale))
        assert all(SMALLEST <= int(number) <= LARGEST for number in re.findall(r"\d+", question.text))


def test_rationales_hold_no_number_that_is_not_in_the_question(problems):
    for question in problems:
        assert set(re.findall(r"\d+", question.rationale)) <= set(re.findall(r"\d+", question.text))


def test_kinds_steps_and_asides_have_their_shares(problems):
    steps = Counter(len(re.findall(r"[-+*/]", question.label)) for question in problems)
    assert set(steps) == {1, 2}
    assert steps[2] / len(problems) == pytest.approx(0.25, abs=0.03)
    aside = sum("not matter" in question.rationale for question in problems)
    assert aside / len(problems) == pytest.approx(0.4, abs=0.03)
    assert len(ONE_STEP) == 12 and len(TWO_STEP) == 6 and len(ASIDES) == 4


def test_the_vocabulary_is_closed_and_without_idle_words(problems):
    used = set()
    for question in problems:
        for text in (
            question.text,
            TASK.prompt(question).text,
            TASK.target(question.rationale, question.label),
        ):
            used.update(tokens(text))
    assert used <= set(vocabulary())
    assert set(vocabulary()) - used <= set(map(str, range(LARGEST + 1)))
    assert len(vocabulary()) == len(set(vocabulary()))


@pytest.mark.slow
def test_targets_are_read_back_also_when_decoded_word_by_word(problems):
    for question in problems:
        target = TASK.target(question.rationale, question.label)
        parsed = TASK.parse(target, question)
        assert (parsed.rationale, parsed.label, parsed.reason) == (question.rationale, question.label, None)
        spaced = TASK.parse(" ".join(tokens(target)), question)
        assert (spaced.rationale, spaced.label) == (" ".join(tokens(question.rationale)), question.label)


def test_an_answer_without_a_cue_is_not_guessed_at(splits):
    assert TASK.parse("Tom had 8 apples , so we subtract 3 from 8 .", splits.train[0]).reason == "no cue"


def test_the_prompt_is_short_and_zero_shot(splits):
    assert TASK.prompt(splits.train[0]).text == f"Question: {splits.train[0].text} Answer:"


def test_a_source_is_refused():
    with pytest.raises(DataError, match=r"task.source: 'x'.*generated"):
        TASK.load(config.Task(source="x"))
