"""Own data sets: files of every form, read as a configuration describes them."""

import json

import datasets
import pytest
from pydantic import ValidationError

from qcrd import config, tasks
from qcrd.errors import DataError

ROWS = [
    {"question": f"What do you get if you add {n} to {n + 1}?", "label": f"{n} + {n + 1}", "why": f"Add {n}."}
    for n in range(20)
]


def section(source, **settings):
    sizes = {name: settings.pop(name) for name in ("train", "validation", "test", "seed") if name in settings}
    return config.Task.model_validate({"name": "own", "source": str(source), "own": settings, **sizes})


def load(source, **settings):
    found = section(source, **settings)
    return tasks.of(found).load(found)


def jsonl(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def sums(tmp_path):
    return jsonl(tmp_path / "sums.jsonl", ROWS)


def write(form, path):
    table = datasets.Dataset.from_list(ROWS)
    if form == "jsonl":
        return jsonl(path / "sums.jsonl", ROWS)
    if form == "json":
        (path / "sums.json").write_text(json.dumps(ROWS))
    elif form == "csv":
        table.to_csv(path / "sums.csv")
    else:
        table.to_parquet(path / "sums.parquet")
    return path / f"sums.{form}"


@pytest.mark.parametrize("form", ["jsonl", "json", "csv", "parquet"])
def test_every_form_gives_the_same_questions(tmp_path, sums, form):
    (tmp_path / form).mkdir()
    settings = {"kind": "equation", "rationale": "why"}
    assert load(write(form, tmp_path / form), **settings) == load(sums, **settings)


def test_a_single_file_is_dealt_into_three_disjoint_splits(sums):
    splits = load(sums, kind="equation")
    sizes = [len(getattr(splits, name)) for name in ("train", "validation", "test")]
    assert sizes == [17, 1, 2]
    ids = [q.id for name in ("train", "validation", "test") for q in getattr(splits, name)]
    assert sorted(ids) == sorted(f"own-train-{i}" for i in range(20))
    assert load(sums, kind="equation") == splits
    assert load(sums, kind="equation", seed=1).test != splits.test
    sized = load(sums, kind="equation", train=8, validation=4, test=5)
    assert [len(getattr(sized, name)) for name in ("train", "validation", "test")] == [8, 4, 5]


def test_a_folders_own_splits_are_kept_and_only_what_lacks_is_held_out(tmp_path):
    for name, rows in (("train", ROWS[:14]), ("test", ROWS[14:])):
        jsonl(tmp_path / f"{name}.jsonl", rows)
    splits = load(tmp_path, kind="equation")
    assert [q.id for q in splits.test] == [f"own-test-{i}" for i in range(6)]
    assert (len(splits.train), len(splits.validation)) == (13, 1)
    swapped = load(tmp_path, kind="equation", train_split="test", test_split="train")
    assert len(swapped.test) == 14


def test_splits_that_are_not_there_or_the_same_are_refused(sums):
    with pytest.raises(DataError, match=r"task\.own\.test_split: the source has no 'tran'.*mean 'train'"):
        load(sums, kind="equation", test_split="tran")
    with pytest.raises(DataError, match="two splits are the same"):
        load(sums, kind="equation", test_split="train")


def test_questions_may_be_put_together_and_fields_nested(tmp_path):
    rows = [{"item": {"a": "It rains.", "b": "Is it dry?"}, "gold": "no", "key": f"k{i}"} for i in range(4)]
    splits = load(
        jsonl(tmp_path / "nested.jsonl", rows), question=["item.a", "item.b"], label="gold", id="key"
    )
    assert {q.text for q in splits.train} == {"It rains.\nIs it dry?"}
    assert {q.id for q in splits.train} < {"k0", "k1", "k2", "k3"}


@pytest.mark.parametrize("label", ["cup", " Cup ", 1, "1", "b", "B"])
def test_a_choice_is_named_by_text_number_or_letter(tmp_path, label):
    row = {"question": "What holds tea?", "options": ["sieve", "cup", "net"], "label": label}
    splits = load(jsonl(tmp_path / "a.jsonl", [row] * 4), kind="choice", choices="options")
    question = splits.train[0]
    assert (question.label, question.choices) == ("cup", ("sieve", "cup", "net"))
    assert question.text == "What holds tea?\nAnswer Choices:\n(a) sieve\n(b) cup\n(c) net"
    task = tasks.of(section(tmp_path, kind="choice", choices="options"))
    assert task.parse("It is deep. The answer is (b).", question).label == "cup"
    assert "letter of the choice" in task.prompt(question).system


def test_labels_that_all_questions_have_are_told_to_the_teacher_once(tmp_path):
    rows = [{"question": f"Is {i} even?", "label": "no" if i % 2 else "yes"} for i in range(6)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    question = load(path, kind="choice", choices=["yes", "no"]).train[0]
    assert question.text.startswith("Is ") and "\n" not in question.text
    task = tasks.of(section(path, kind="choice", choices=["yes", "no"]))
    assert task.prompt(question).system.endswith("The answer is one of: yes, no.")
    assert task.parse("Halve it. The answer is no, because it is odd.", question).label == "no"


@pytest.mark.parametrize(
    ("settings", "row", "message"),
    [
        ({"question": "qestion"}, {}, r"task\.own\.question: a\.jsonl, line 1 has no field 'qestion'"
         r"; it has: .*did you mean 'question'"),
        ({"label": "a.b"}, {"a": "x"}, r"own\.label: a\.jsonl, line 1 has no field 'a\.b'; it has: none"),
        ({}, {"label": None}, r"has nothing in 'label'; fill it"),
        ({"kind": "equation"}, {"label": "many"}, "'many'; allowed: an equation"),
        ({"kind": "choice", "choices": ["x", "y"]}, {"label": "z"}, "'z'; allowed: one of 'x', 'y'"),
        ({"kind": "choice", "choices": "options"}, {"options": ["x"]}, "at least two texts"),
        ({}, {"label": "One. Two"}, "allowed: a text without a full stop"),
        ({"id": "question"}, {}, r"task\.own\.id: 'How\?' is there twice"),
    ],
)  # fmt: skip
def test_rows_that_do_not_fit_are_refused_with_what_is_there(tmp_path, settings, row, message):
    rows = [{"question": "How?", "label": "so", **row}] * 4
    with pytest.raises(DataError, match=message):
        load(jsonl(tmp_path / "a.jsonl", rows), **settings)


def test_sources_that_cannot_be_read_are_refused_with_the_forms_that_can(tmp_path):
    (tmp_path / "a.txt").write_text("question label")
    for place in (tmp_path / "a.txt", tmp_path / "nothing.jsonl", tmp_path / "nothing"):
        with pytest.raises(DataError, match=r"task\.source: .*\.jsonl, \.json, \.csv, \.parquet"):
            load(place)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "own"}, "task.source is needed"),
        ({"name": "svamp", "own": {"kind": "equation"}}, "task.own is only read where task.name is 'own'"),
        ({"name": "own", "source": "a", "own": {"kind": "choice"}}, "task.own.choices is needed"),
        ({"name": "own", "source": "a", "own": {"choices": ["a", "b"]}}, "only read where task.own.kind is"),
        ({"name": "own", "source": "a", "own": {"kind": "choice", "choices": [True, False]}}, "in quotes"),
        ({"name": "own", "source": "a", "own": {"kind": "choice", "choices": ["a"]}}, "at least two"),
        ({"name": "own", "source": "a", "own": {"question": []}}, "a field, or a list of fields"),
    ],
)
def test_descriptions_that_mean_nothing_are_refused(task, message):
    with pytest.raises(ValidationError, match=message):
        config.Task.model_validate(task)
