"""The worked example of docs/own-data.md, file by file as it stands there."""

import json
from pathlib import Path

import pytest
import quiz_example
import torch

from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.finished import FinishedCell
from qcrd.cell.preparation import prepare
from qcrd.cell.run import run_cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.overview import plan_object
from qcrd.grid.plan.study import Study
from qcrd.provenance.question import trace
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.teacher.recorded import RecordedTeacher

torch.set_num_threads(1)  # such models only wait for a second thread


@pytest.fixture(scope="module")
def files():
    found = quiz_example.files()
    assert set(found) == {"quiz.jsonl", "quiz.txt", "quiz.yaml", "answers.jsonl"}
    return found


@pytest.fixture
def study(files, tmp_path, monkeypatch):
    """The grid, in a folder with the example's files and a tiny random student."""
    for name, content in files.items():
        (tmp_path / name).write_text(content + "\n", encoding="utf-8")
    quiz_example.tiny_t5(tmp_path / "student")
    monkeypatch.setenv("STUDENT", str(tmp_path / "student"))
    monkeypatch.chdir(tmp_path)
    return Study.open(tmp_path / "quiz.yaml", Home(tmp_path / "home"))


def test_the_example_is_planned(study):
    found = plan_object(study)
    assert [cell["name"] for cell in found["cells"]] == [
        f"{method} seed=0" for method in ("finetuning", "dss", "qcrd")
    ]
    splits = study.cells[0].cell.splits
    assert [len(s) for s in (splits.train, splits.validation, splits.test)] == [4, 2, 2]


def test_the_example_is_trained_and_followed_back(study, files):
    cell, home = study.cells[-1].cell, study.home
    draw(
        sample_store(cell, home),
        sample_requests(cell, "train", 3),
        RecordedTeacher(cell.settings.teacher.path),
        lambda *_: None,
    )
    prepared = prepare(cell, home)
    assert prepared.statistics["teacher/vote"] == 100
    assert all(len(s.positives) == 2 and len(s.negatives) == 1 for s in prepared.sets)
    record = run_cell(cell, "qcrd seed=0", home)
    assert record.status == "done"
    assert record.identity["task"] == {
        "name": "own",
        "data": record.identity["task"]["data"],
        "kind": "choice",
    }
    asked = prepared.questions[0]
    found = trace(FinishedCell.find(home, record.id), home, asked.id)
    assert found.vote.label == asked.label
    rows = {row["id"]: row for row in map(json.loads, files["quiz.jsonl"].splitlines())}
    assert asked.label == rows[asked.id]["answer"]
    assert found.answers.prompt.startswith("Choose the thing that does it.")
    assert rows[asked.id]["question"] in found.answers.prompt


def test_a_copy_of_the_data_elsewhere_gives_the_same_cells(study, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "quiz.jsonl").rename(tmp_path / "there" / "other.jsonl")
    text = (tmp_path / "quiz.yaml").read_text().replace("source: quiz.jsonl", "source: there/other.jsonl")
    (tmp_path / "copy.yaml").write_text(text)
    copied = Study.open(tmp_path / "copy.yaml", study.home)
    (tmp_path / "quiz.jsonl").write_text((tmp_path / "there" / "other.jsonl").read_text())
    assert copied.ids == study.ids


@pytest.mark.parametrize(
    ("said", "instead", "message"),
    [
        ("choices: opt", "chioces: opt", r":\d+: base\.task\.own\.chioces: unknown.*did you mean 'choices'"),
        ("kind: choice", "kind: choise", r"base\.task\.own\.kind: value 'choise'; allowed: 'choice', "),
        ("choices: options", "choices: [yes, no]", r"task\.own\.choices: value \[True, False\]; allowed"),
        ("name: own", "name: svamp", r"base\.task.*task\.own is only read where task\.name is 'own'"),
    ],
)
def test_slips_are_refused_with_their_line(study, said, instead, message):
    grid = Path("quiz.yaml")
    grid.write_text(grid.read_text().replace(said, instead))
    with pytest.raises(ConfigError, match=message):
        Study.open(grid, study.home)
