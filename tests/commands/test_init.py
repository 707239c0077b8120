"""`qcrd init`: a grid that runs as it stands."""

import os

import pytest
import quiz_example
from tiny_grid import Run
from typer.testing import CliRunner

import qcrd
from qcrd.cli import app
from qcrd.errors import QcrdError
from qcrd.grid.plan.file import read_grid
from qcrd.tasks import TASKS


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, content in quiz_example.files().items():
        if name != "quiz.yaml":
            (tmp_path / name).write_text(content + "\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def init(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["init", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_own_data_with_recorded_answers_trains_as_it_stands(folder):
    student = str(quiz_example.tiny_t5(folder / "student"))
    words = ["--data", "quiz.jsonl", "--teacher", "answers.jsonl", "--student", student, "--steps", "4"]
    output = init("quiz", *words)
    assert "quiz.yaml: 3 cells" in output
    assert "read as: label answer, kind choice, choices options, rationale why, id id" in output
    run = Run.__new__(Run)
    run.environment = {**os.environ, "QCRD_HOME": str(folder / "home")}
    assert "done: validation" in run.here("train", "quiz.yaml", "--cell", "qcrd", "--device", "cpu")
    grid = qcrd.load_grid("quiz.yaml", home=folder / "home")
    assert list(grid.results().state) == ["planned", "planned", "done"]
    assert grid.cell("qcrd").record.statistics["teacher/samples"] == 3 * 6


@pytest.mark.parametrize("task", [name for name in TASKS if name != "own"])
def test_what_is_written_for_a_task_is_a_grid(folder, task):
    init("mine", "--task", task)
    file = read_grid("mine.yaml")
    (cells,) = file.expanded.values()
    assert [planned.cell.settings.method for planned in cells] == ["finetuning", "dss", "qcrd"]
    assert {planned.cell.settings.task.name for planned in cells} == {task}
    assert os.access("mine.yaml", os.X_OK)


def cell_of(name: str):
    (cells,) = read_grid(f"{name}.yaml").expanded.values()
    return cells[-1].cell.settings


def test_a_teacher_is_a_model_a_server_or_a_file(folder):
    init("a", "--task", "svamp", "--teacher", "Qwen/Qwen3-8B")
    assert (cell_of("a").teacher.engine, cell_of("a").teacher.model) == ("vllm", "Qwen/Qwen3-8B")
    init("b", "--task", "svamp", "--teacher", "http://127.0.0.1:8000/v1", "--model", "mine")
    teacher = cell_of("b").teacher
    assert (teacher.engine, teacher.base_url, teacher.model) == (
        "openai", "http://127.0.0.1:8000/v1", "mine",
    )  # fmt: skip
    init("c", "--data", "quiz.jsonl", "--teacher", "answers.jsonl")
    assert (cell_of("c").teacher.engine, cell_of("c").rationales.m) == ("recorded", 3)


def test_any_file_name_is_written_so_that_yaml_reads_it(folder):
    data, answers, student = "my: data #1, {x}.jsonl", 'an\'swer "y".jsonl', "a, b: {c} #d"
    (folder / "quiz.jsonl").rename(folder / data)
    (folder / "answers.jsonl").rename(folder / answers)
    (folder / student).mkdir()
    init("odd", "--data", data, "--teacher", answers, "--student", student)
    cell = cell_of("odd")
    places = [cell.task.source, cell.teacher.path, cell.student.checkpoint, cell.discriminator.checkpoint]
    assert places == [str(folder / name) for name in (data, answers, student, student)]


def test_student_and_steps_are_written(folder):
    init("a", "--task", "svamp", "--student", "google-t5/t5-small", "--steps", "600")
    cell = cell_of("a")
    assert cell.student.checkpoint == cell.discriminator.checkpoint == "google-t5/t5-small"
    assert (cell.training.steps, cell.training.evaluate_every) == (600, 100)


def test_a_file_that_is_there_is_left_alone(folder):
    (folder / "mine.yaml").write_text("precious")
    with pytest.raises(QcrdError, match=r"mine\.yaml is there already"):
        init("mine")
    assert (folder / "mine.yaml").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["A.yaml"], r"NAME: value 'A.yaml'; allowed: lower-case letters"),
        (["a", "--task", "gsm"], "did you mean 'gsm8k'"),
        (["a", "--task", "own"], "--data is needed with --task own"),
        (["a", "--data", "nothing.jsonl"], "'nothing.jsonl': no such file"),
        (["a", "--data", "quiz.jsonl", "--label", "anwser"], "did you mean 'answer'"),
        (["a", "--task", "svamp", "--label", "answer"], "--label describes data of your own"),
        (["a", "--task", "arithmetic", "--data", "quiz.jsonl"], "--data: the problems of arithmetic are"),
        (["a", "--teacher", "http://127.0.0.1:1/v1"], "--model is needed beside a server's address"),
        (["a", "--teacher", "some/model", "--model", "mine"], "--model only goes with a server's address"),
        (["a", "--teacher", "nothing.jsonl"], "there is no file nothing.jsonl"),
        (["a", "--data", "quiz.jsonl", "--kind", "text", "--choices", "options"], "only read where"),
        (["a", "--task", "gsm8k", "--data", "quiz.jsonl"], "quiz.jsonl"),
    ],
)
def test_wishes_that_do_not_go_together_are_refused_and_nothing_is_written(folder, arguments, message):
    with pytest.raises(QcrdError, match=message):
        init(*arguments)
    assert list(folder.glob("*.yaml")) == []
