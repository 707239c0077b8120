"""Teachers' answers as data sets: `datasets` loads them, and TRL's columns are there."""

import json
from collections import Counter

import datasets
import pytest
import yaml
from daily import product
from small_cells import SILENT, TASK, M, fill, make_cell
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.errors import ConfigError, DataError, StoreError
from qcrd.export import preferences, samples
from qcrd.storage.home import Home

ENDING = {"jsonl": "rows.jsonl", "parquet": "rows.parquet", "datasets": "folder"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home with a teacher's answers, a cell that reads them and its grid."""
    home = Home(tmp_path_factory.mktemp("home"))
    cell = make_cell(home)
    fill(home, cell)
    base = cell.settings.model_dump(mode="json", exclude={"seed"})
    grid = home.root / "mine.yaml"
    grid.write_text(yaml.safe_dump({"name": "mine", "preset": "embedded", "base": base}))
    return home, cell, grid


@pytest.fixture
def typed(place, tmp_path, monkeypatch):
    """`qcrd samples export` of the grid."""
    monkeypatch.setenv("QCRD_HOME", str(place[0].root))
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))

    def export(*arguments, source=place[2]):
        command = ["samples", "export", str(source), *map(str, arguments)]
        return CliRunner().invoke(app, command, catch_exceptions=False)

    return export


def loaded(path, form, cache):
    if form == "datasets":
        return datasets.load_dataset(str(path), cache_dir=str(cache))["train"]
    kind = {"jsonl": "json", "parquet": "parquet"}[form]
    return datasets.load_dataset(kind, data_files=str(path), split="train", cache_dir=str(cache))


def rows_of(place, split="train"):
    home, cell, _ = place
    left_out = Counter()
    return samples.rows(cell, home, M, [split], left_out), left_out


@pytest.mark.parametrize("kind, form", product(["samples", "sft", "dpo"], list(ENDING)))
def test_datasets_loads_what_is_exported(place, typed, tmp_path, kind, form):
    out = tmp_path / ENDING[form]
    result = typed("--as", kind, "--format", form, "--out", out)
    assert result.exit_code == 0, result.output
    found = loaded(out, form, tmp_path / "cache")
    expected = rows_of(place)[0]
    if kind != "samples":
        made = getattr(preferences, kind)
        expected = made(expected, place[1].task.target, "conversational", Counter())
    assert found.to_list() == expected and len(expected) > 10
    columns = samples.COLUMNS if kind == "samples" else ["question_id", *preferences.COLUMNS[kind]]
    assert found.column_names == list(columns)


def test_a_row_says_what_was_asked_and_whether_the_answer_is_right(place):
    _, cell, _ = place
    rows, left_out = rows_of(place)
    assert len(rows) == M * TASK.train and not left_out
    questions = {q.id: q for q in cell.splits.train}
    for row in rows:
        question = questions[row["question_id"]]
        assert (row["question"], row["gold"], row["split"]) == (question.text, question.label, "train")
        parsed = cell.task.parse(row["answer"], question)
        assert (row["rationale"], row["label"]) == (parsed.rationale, parsed.label)
        expected = None if parsed.label is None else cell.task.correct(parsed.label, question)
        assert row["right"] is expected and (row["unread"] is None) == (expected is not None)
        assert row["prompt"] == cell.data.prompt(question).text
        assert row["sampler"] and (row["engine"], row["model"]) == ("recorded", None)
    assert {row["right"] for row in rows} == {True, False, None}
    assert [row["index"] for row in rows[:M]] == list(range(M))
    assert all(row["right"] is None for row in rows if row["question_id"] == f"arithmetic-train-{SILENT}")


def test_trls_conversational_and_standard_formats(place):
    rows, target = rows_of(place)[0], place[1].task.target
    for style, kind in (("conversational", list), ("standard", str)):
        pair = preferences.dpo(rows, target, style, Counter())[0]
        one = preferences.sft(rows, target, style, Counter())[0]
        assert {"prompt", "chosen", "rejected"} < pair.keys() and {"prompt", "completion"} < one.keys()
        assert all(isinstance(pair[name], kind) for name in ("prompt", "chosen", "rejected"))
        assert isinstance(one["completion"], kind)
    chat = preferences.dpo(rows, target, "conversational", Counter())[0]
    assert [m["role"] for m in (*chat["prompt"], *chat["chosen"], *chat["rejected"])] == [
        "user",
        "assistant",
        "assistant",
    ]
    assert one["prompt"].startswith("Q: ") and one["completion"].startswith(" ")


def row(index, right, rationale, label="7", question="q", finish="stop"):
    return {
        "split": "train",
        "question_id": question,
        "question": f"what is {question} ?",
        "index": index,
        "right": right,
        "rationale": rationale,
        "label": label,
        "finish_reason": finish,
    }


def target(rationale, label):
    return f"{rationale} : {label}"


def test_pairs_are_made_in_the_order_of_draws_and_what_is_left_out_is_counted():
    rows = [
        row(0, False, "wrong one", "1"),
        row(1, True, "right one"),
        row(2, None, "who knows", None),
        row(3, True, "right  one"),
        row(4, None, "it goes", None, finish="length"),
        row(5, False, "right one", "2"),
        row(6, True, "right two"),
        row(7, False, "", "3"),
        row(8, False, "wrong two", "4"),
        row(9, True, "right three"),
        row(0, True, "alone", question="other"),
        row(0, False, "alone", "5", question="third"),
    ]
    left_out = Counter()
    pairs = preferences.dpo(rows, target, "standard", left_out)
    assert [(p["question_id"], p["chosen"], p["rejected"]) for p in pairs] == [
        ("q", " right one : 7", " wrong one : 1"),
        ("q", " right two : 7", " wrong two : 4"),
    ]
    assert left_out == {
        "said before": 1,
        "wrong, with the reasoning of a right one": 1,
        "without reasoning": 1,
        "unread": 1,
        "cut off": 1,
        "no wrong answer to go with": 2,
        "no right answer to go with": 1,
    }
    assert len(rows) == 2 * len(pairs) + left_out.total()
    left_out = Counter()
    assert preferences.dpo(rows, target, "standard", left_out, most=1) == pairs[:1]
    assert left_out["more than pairs asked for"] + left_out["no wrong answer to go with"] == 4
    assert len(rows) == 2 + left_out.total()
    left_out = Counter()
    taught = preferences.sft(rows, target, "standard", left_out)
    assert [each["completion"] for each in taught[:2]] == [" right one : 7", " right two : 7"]
    assert len(rows) == len(taught) + left_out.total() and left_out["wrong"] == 3


def test_splits_are_kept_apart_in_a_folder_and_counts_are_said(place, typed, tmp_path):
    result = typed(
        "--format", "datasets", "--split", "validation", "--split", "train", "--out", tmp_path / "out"
    )
    found = datasets.load_dataset(str(tmp_path / "out"), cache_dir=str(tmp_path / "cache"))
    assert {name: len(split) for name, split in found.items()} == {
        "validation": M * TASK.validation,
        "train": M * TASK.train,
    }
    assert f"{M * (TASK.train + TASK.validation)} rows" in result.stderr
    assert "answers.jsonl (arithmetic, 4 answers a question)" in (tmp_path / "out" / "README.md").read_text()


def test_answers_that_were_never_drawn_are_counted_or_refused(place, typed, tmp_path):
    with pytest.raises(DataError, match=r"nothing to export \(64 not recorded\); `qcrd sample"):
        typed("--split", "test")
    result = typed("--split", "test", "--split", "train", "--out", tmp_path / "rows.jsonl")
    assert "answers left out: 64 not recorded" in result.stderr


def test_lines_go_to_standard_output_without_a_place(place, typed):
    result = typed("--as", "sft")
    expected = preferences.sft(rows_of(place)[0], place[1].task.target, "conversational", Counter())
    assert [json.loads(line) for line in result.stdout.splitlines()] == expected
    assert "wrong" in result.stderr


def test_a_sampler_alone_gives_its_answers_without_what_a_task_knows(place, typed, tmp_path):
    (folder,) = place[0].samples.iterdir()
    out = tmp_path / "rows.parquet"
    typed("--format", "parquet", "--out", out, source=folder.name)
    found = loaded(out, "parquet", tmp_path / "cache")
    assert found.column_names == list(samples.COLUMNS)
    assert len(found) == M * (TASK.train + TASK.validation)
    assert set(found["right"]) == {None} and all(found["answer"]) and all(found["prompt"])
    for more in (["--as", "dpo", "--format", "jsonl"], ["--format", "jsonl", "--split", "test"]):
        with pytest.raises(ConfigError, match="need a grid"):
            typed(*more, source=folder.name)


def test_what_is_there_is_not_overwritten_unless_told(place, typed, tmp_path):
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").touch()
    with pytest.raises(StoreError, match="is there already"):
        typed("--format", "datasets", "--out", mine)
    with pytest.raises(StoreError, match="something else than an earlier export"):
        typed("--format", "datasets", "--out", mine, "--overwrite")
    for form, name in ENDING.items():
        typed("--format", form, "--out", tmp_path / name)
        with pytest.raises(StoreError, match="is there already"):
            typed("--format", form, "--out", tmp_path / name)
        assert typed("--format", form, "--out", tmp_path / name, "--overwrite").exit_code == 0
    assert (mine / "thesis.txt").exists()


def test_options_that_do_not_go_together_are_refused(typed):
    with pytest.raises(ConfigError, match="needs --out"):
        typed("--format", "parquet")
    with pytest.raises(ConfigError, match="--pairs is of --as dpo"):
        typed("--pairs", "1")
    with pytest.raises(ConfigError, match="--format recorded"):
        typed("--format", "recorded")
