"""CommonsenseQA from both layouts, and what student and teacher read of it."""

import json
import re

import pytest
from transformers import AutoTokenizer

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import get

TASK = get("cqa")


def load(source, **settings):
    return TASK.load(config.Task(name="cqa", source=str(source), **settings))


def row(i, **changes):
    """A row in the layout that DSS and the Hub share."""
    choices = ["garage", f"shed   {i}", "kitchen", "kitchen", "roof"]
    return {
        "id": f"{i:x}",
        "question": f"Where is  bicycle {i}?",
        "choices": choices,
        "answer": choices[i % 5],
        "abstractive_explanation": "" if i % 2 else f"Because of {i}.",
        "extractive_explanation": "bicycle",
    } | changes


def write(folder, names, n=10):
    for name, count in zip(names, (n, n // 2), strict=True):
        (folder / name).write_text("\n".join(json.dumps(row(i)) for i in range(count)), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def splits(shared_data):
    return load(shared_data / "dss" / "datasets.zip")


@pytest.fixture
def small(tmp_path):
    return load(write(tmp_path, ("cqa_train.json", "cqa_test.json")), validation=2)


@pytest.mark.slow
def test_the_archive_gives_the_papers_sizes(splits):
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [8766, 975, 1221]
    ids = {question.id for question in splits.train + splits.validation}
    assert ids == {f"cqa-train-{i}" for i in range(9741)}
    assert [question.id for question in splits.test] == [f"cqa-test-{i}" for i in range(1221)]
    for question in splits.train + splits.validation + splits.test:
        assert len(question.choices) == 5 and TASK.correct(question.label, question)


def test_the_archive_repeats_choices_in_the_known_number_of_rows(splits):
    def doubled(questions):
        return sum(len(set(question.choices)) < 5 for question in questions)

    assert (doubled(splits.train + splits.validation), doubled(splits.test)) == (122, 24)


@pytest.mark.slow
def test_targets_and_choices_of_real_questions_are_read_back(splits):
    for question in splits.validation + splits.test:
        parsed = TASK.parse(TASK.target("It fits.", question.label), question)
        assert (parsed.rationale, parsed.label) == ("It fits.", question.label)
        for letter, choice in zip("abcde", question.choices, strict=True):
            assert TASK.parse(f"So. The answer is ({letter}) {choice}.", question).label == choice
            assert TASK.parse(f"So. The answer is ({letter}).", question).label == choice


def test_both_layouts_give_the_same_questions(tmp_path, small, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    (tmp_path / "hub").mkdir()
    assert load(write(tmp_path / "hub", ("train.jsonl", "validation.jsonl")), validation=2) == small


def test_a_question_has_its_choices_its_label_and_where_there_is_one_its_explanation(small):
    assert [len(small.train), len(small.validation), len(small.test)] == [8, 2, 5]
    question = small.test[1]
    assert question.id == "cqa-test-1"
    assert question.text == (
        "Where is bicycle 1?\nAnswer Choices:\n(a) garage\n(b) shed 1\n(c) kitchen\n(d) kitchen\n(e) roof"
    )
    assert (question.label, question.choices[1], question.rationale) == ("shed 1", "shed 1", None)
    assert small.test[2].rationale == "Because of 2."


def test_t5_reads_the_choices_on_one_line(shared_data, small):
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer_t5")
    text = small.test[1].text
    assert tokenizer(text).input_ids == tokenizer(re.sub(r"\s+", " ", text)).input_ids


def test_the_teacher_is_asked_with_the_choices(small):
    text = TASK.prompt(small.test[1]).text
    assert text.endswith(f"\n\nQ: {small.test[1].text}\nA:")
    assert TASK.stop == ("\nQ:",)


def test_an_answer_that_is_no_choice_is_a_damaged_file(tmp_path):
    write(tmp_path, ("cqa_train.json", "cqa_test.json"))
    (tmp_path / "cqa_test.json").write_text(json.dumps(row(0, answer="sea")), encoding="utf-8")
    with pytest.raises(DataError, match="cqa-test-0: the answer 'sea' is none of"):
        load(tmp_path)
