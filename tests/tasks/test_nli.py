"""ANLI1 and e-SNLI from both layouts, and what student and teacher read of them."""

import json
from collections import Counter

import pytest
from datasets import Dataset
from transformers import AutoTokenizer

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import get
from qcrd.tasks.nli import LABELS

NAMES = ["anli1", "esnli"]
HUB = {"anli1": ("train_r1", "dev_r1", "test_r1"), "esnli": ("train", "validation", "test")}


def load(name, source, **settings):
    return get(name).load(config.Task(name=name, source=str(source), **settings))


def rows(n, field="reason", offset=0):
    """In the layout that DSS and the Hub share; every third has no explanation."""
    return [
        {
            "premise": f"There are  {i} boats.",
            "hypothesis": f"A boat {i} is red.",
            "label": i % 3,
            field: f"Boat {i}." if i % 3 else "",
        }
        for i in range(offset, offset + n)
    ]


def write(name, folder, hub=False):
    folder.mkdir(parents=True, exist_ok=True)
    field = "reason" if name == "anli1" else "explanation_1"
    for part, split in enumerate(("train", "valid", "test")):
        file = f"{HUB[name][part]}.jsonl" if hub else f"{name}_{split}.json"
        text = "\n".join(json.dumps(row) for row in rows(6, field, 10 * part))
        (folder / file).write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("name", "train", "validation", "test"), [("anli1", 1000, 1000, 1000), ("esnli", 10_000, 9842, 9824)]
)
def test_the_archive_gives_the_papers_sizes_but_for_the_part_of_training_that_it_has(
    shared_data, caplog, name, train, validation, test
):
    splits = load(name, shared_data / "dss" / "datasets.zip")
    assert [len(splits.train), len(splits.validation), len(splits.test)] == [train, validation, test]
    assert f"{name}: {train} train questions, of the paper's {get(name).paper.train}" in caplog.text
    assert len(caplog.records) == 1
    assert [q.id for q in splits.validation] == [f"{name}-valid-{i}" for i in range(validation)]
    assert {q.id for q in splits.train} == {f"{name}-train-{i}" for i in range(train)}
    everything = splits.train + splits.validation + splits.test
    assert {q.label for q in everything} == set(LABELS)
    assert all(q.text.count("</s>") == 1 and "\n" not in q.text for q in everything)
    assert all(q.rationale for q in splits.validation + splits.test)
    assert not any(q.rationale for q in splits.train)


def test_the_papers_sizes_are_those_of_the_specification():
    sizes = {name: get(name).paper for name in NAMES}
    assert [(s.train, s.validation, s.test) for s in sizes.values()] == [
        (16_946, 1000, 1000),
        (549_367, 9842, 9824),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_both_layouts_give_the_same_questions(name, tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    archive = load(name, write(name, tmp_path / "dss"))
    assert load(name, write(name, tmp_path / "hub", hub=True)) == archive
    assert [len(archive.train), len(archive.validation), len(archive.test)] == [6, 6, 6]


def test_a_copy_of_anlis_repository_gives_its_first_round(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    files = ""
    for number, round in enumerate(("r1", "r2")):
        for part, split in enumerate(("train", "dev", "test")):
            text = "\n".join(json.dumps(row) for row in rows(6, "reason", 10 * part + 100 * number))
            (tmp_path / f"{split}_{round}.jsonl").write_text(text, encoding="utf-8")
            files += f"  - split: {split}_{round}\n    path: {split}_{round}.jsonl\n"
    readme = f"---\nconfigs:\n- config_name: plain_text\n  data_files:\n{files}---\n"
    (tmp_path / "README.md").write_text(readme, encoding="utf-8")
    assert load("anli1", tmp_path) == load("anli1", write("anli1", tmp_path / "dss"))


def test_a_copy_of_esnlis_converted_repository_gives_the_same_questions(tmp_path, monkeypatch):
    monkeypatch.setattr("datasets.config.HF_HUB_OFFLINE", True)
    for part, split in enumerate(HUB["esnli"]):
        (tmp_path / "hub" / "plain_text" / split).mkdir(parents=True)
        part = Dataset.from_list(rows(6, "explanation_1", 10 * part))
        part.to_parquet(tmp_path / "hub" / "plain_text" / split / "0000.parquet")
    assert load("esnli", tmp_path / "hub") == load("esnli", write("esnli", tmp_path / "dss"))


@pytest.mark.parametrize("name", NAMES)
def test_a_question_is_premise_eos_hypothesis_with_its_label_in_words(name, tmp_path):
    question = load(name, write(name, tmp_path)).test[1]
    assert question.id == f"{name}-test-1"
    assert question.text == "There are 21 boats.</s>A boat 21 is red."
    assert (question.label, question.choices, question.rationale) == ("entailment", LABELS, None)


@pytest.mark.parametrize("name", NAMES)
def test_the_teacher_reads_premise_and_hypothesis_with_their_names(name, tmp_path):
    question = load(name, write(name, tmp_path)).test[1]
    asked = "\n\nQ: Premise: There are 21 boats.\nHypothesis: A boat 21 is red.\nA:"
    assert get(name).prompt(question).text.endswith(asked)
    assert "</s>" not in get(name).prompt(question).text
    assert get(name).stop == ("\nQ:",)


def test_t5_reads_its_eos_token_between_premise_and_hypothesis(tmp_path, shared_data):
    tokenizer = AutoTokenizer.from_pretrained(shared_data / "tokenizer_t5")
    question = load("esnli", write("esnli", tmp_path)).test[1]
    tokens = tokenizer(f"predict: {question.text}").input_ids
    assert Counter(tokens)[tokenizer.eos_token_id] == 2 and tokens[-1] == tokenizer.eos_token_id


def test_a_label_that_is_none_of_the_three_is_named(tmp_path):
    write("anli1", tmp_path)
    (tmp_path / "anli1_test.json").write_text(json.dumps(rows(1)[0] | {"label": -1}), encoding="utf-8")
    with pytest.raises(DataError, match=r"anli1-test-0: label -1; allowed: 0 \(entailment\)"):
        load("anli1", tmp_path)
