"""What a teacher's answers are worth, from recorded answers in a real store."""

import json

import pytest

from qcrd.cell import teacher_accuracy
from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.resolved import resolve
from qcrd.cell.teacher_accuracy import teacher_accuracies
from qcrd.config import Cell
from qcrd.rationales.statistics import vote_statistics
from qcrd.rationales.vote import vote
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Parsed

SIZES = {"train": 8, "validation": 4, "test": 4}


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path / "home")


@pytest.fixture
def cell(tmp_path):
    """Two answers to each question but those of the test split: right, and one that nobody can read."""
    path = tmp_path / "answers.jsonl"
    teacher = {"engine": "recorded", "path": str(path)}
    cell = resolve(Cell.model_validate({"task": SIZES, "teacher": teacher}))
    splits = cell.splits
    with path.open("w") as file:
        for question in (*splits.train, *splits.validation):
            answers = [f"{question.rationale} The answer is {question.label}.", "I do not know."]
            file.write(json.dumps({"id": question.id, "samples": answers}) + "\n")
    return cell


def drawn(cell, home, *splits):
    for split in splits:
        requests = sample_requests(cell, split, 2)
        store = sample_store(cell, home)
        draw(store, requests, RecordedTeacher(cell.settings.teacher.path), lambda *_: None)


def test_each_split_that_was_drawn_has_its_accuracy(cell, home):
    assert list(teacher_accuracies(cell, home, 2)) == []
    drawn(cell, home, "train", "validation")
    train, validation = teacher_accuracies(cell, home, 2)
    assert (train.split, validation.split) == ("train", "validation")
    assert train.statistics["questions"] == 8 and validation.statistics["questions"] == 4
    assert train.statistics["single"] == 50 and train.statistics["vote"] == 100
    assert train.statistics["unparsed.no cue"] == 8


def test_every_question_is_there_with_its_vote(cell, home):
    drawn(cell, home, "train")
    (found,) = teacher_accuracies(cell, home, 2)
    rows = json.loads(found.path.read_text())["questions"]
    assert len(rows) == 8 and all(row["answer"] is not None and row["right"] == 1 for row in rows)
    assert {tuple(row["unparsed"]) for row in rows} == {("no cue",)}


def test_an_accuracy_is_measured_once(cell, home, monkeypatch):
    drawn(cell, home, "train")
    first = list(teacher_accuracies(cell, home, 2))
    monkeypatch.setattr(teacher_accuracy, "read_answers", lambda *a: pytest.fail("parsed again"))
    monkeypatch.setattr(teacher_accuracy, "SPLITS", ("train",))
    assert list(teacher_accuracies(cell, home, 2)) == first


def test_the_error_of_one_answer_is_over_questions_not_over_answers():
    right, wrong = Parsed("r", "1", "1"), Parsed("r", "2", "2")
    alike, mixed = (
        vote_statistics(answers, [vote("q", each) for each in answers], ["1", "1"])
        for answers in ([[right] * 4, [wrong] * 4], [[right, wrong] * 2, [right, wrong] * 2])
    )
    assert alike["single"] == mixed["single"] == 50
    assert alike["single_error"] == pytest.approx(50) and mixed["single_error"] == 0
