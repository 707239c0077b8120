"""`import qcrd`: grids, cells, students, results and samples from Python."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import quiz_example
from tiny_grid import Run, recorded_answers

import qcrd
from qcrd.api.frames import ACCURACIES, COSTS, FIXED
from qcrd.errors import ConfigError, DataError, QcrdError
from qcrd.export.samples import COLUMNS
from qcrd.grid.plan.factors import setting_paths, short_name

REST = """
sweep: {beta: [0.4]}
product: {method: [dss, single_task, qcrd]}
"""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("api")
    run = Run(folder, recorded_answers(folder / "answers.jsonl"), REST)
    run.in_process()
    return run


@pytest.fixture(scope="module")
def grid(tiny) -> qcrd.Grid:
    return qcrd.load_grid(tiny.grid, home=tiny.home)


@pytest.fixture
def fresh(tmp_path) -> qcrd.Grid:
    run = Run(tmp_path, recorded_answers(tmp_path / "answers.jsonl"), "product: {method: [dss, qcrd]}")
    return qcrd.load_grid(str(run.grid), home=str(run.home))


def test_importing_qcrd_imports_nothing_else():
    code = (
        "import sys; before = set(sys.modules); import qcrd; qcrd.__version__; dir(qcrd);"
        "new = {m.partition('.')[0] for m in set(sys.modules) - before} - set(sys.stdlib_module_names);"
        "print(new); qcrd.load_grid;"
        "print({'torch', 'ray', 'datasets', 'pandas', 'transformers', 'mlflow'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "{'qcrd'}\nset()\n"


def test_every_public_name_is_there_and_no_other():
    for name in qcrd.__all__:
        assert getattr(qcrd, name) is not None
        assert name in dir(qcrd)
    with pytest.raises(ConfigError, match="limit: value 0; allowed: whole numbers from 1 up"):
        qcrd.load_grid("quickstart", limit=0)
    with pytest.raises(AttributeError, match="no attribute 'load_girds'"):
        qcrd.load_girds  # noqa: B018


def test_the_plan_is_that_of_the_command_line(tiny, grid):
    assert grid.plan() == tiny.plan()
    assert [cell.name for cell in grid.cells] == [cell["name"] for cell in grid.plan()["cells"]]
    assert repr(grid) == "<grid tiny, preset embedded, 4 cells>"
    assert repr(grid.cells[0]) == "<cell 'dss seed=0' of tiny>"


def test_results_have_one_row_a_cell_with_what_tells_them_apart(grid):
    frame = grid.results()
    assert list(frame.name) == [cell.name for cell in grid.cells]
    assert list(frame.id) == [cell.id for cell in grid.cells]
    assert set(frame.state) == {"done"}
    assert list(frame.beta) == [0.2, 0.2, 0.2, 0.4]
    assert list(frame.method) == ["dss", "single_task", "qcrd", "qcrd"]
    assert set(frame.steps) == {6}, "set by the grid over its preset"
    assert "delta" not in frame, "neither varied nor set"
    record = grid.cells[2].record
    row = frame.set_index("name").loc["qcrd seed=0"]
    assert row.accuracy_test == record.accuracy["test"]
    assert row.cost_teacher_tokens == record.statistics["cost/teacher_tokens"]
    assert frame.cost_student_tflop.gt(0).all()


def test_a_setting_never_takes_the_place_of_another_column(tmp_path):
    words = [*FIXED, *(f"accuracy_{name}" for name in ACCURACIES), *(f"cost_{name}" for name in COSTS)]
    paths = [*setting_paths()]
    columns = [path if short_name(path) in FIXED else short_name(path) for path in paths]
    assert set(columns).isdisjoint(words) and len(set(columns)) == len(columns)
    (tmp_path / "q.jsonl").write_text(
        "".join(f'{{"n": {i}, "question": "{i}?", "label": "a"}}\n' for i in range(9))
    )
    quiz_example.tiny_t5(tmp_path / "student")
    own = "task: {name: own, source: q.jsonl, own: {id: n}}, student: {checkpoint: student}"
    (tmp_path / "own.yaml").write_text(f"name: own\npreset: paper\nbase: {{method: finetuning, {own}}}\n")
    grid = qcrd.load_grid(tmp_path / "own.yaml", home=tmp_path)
    frame = grid.results()
    assert list(frame.id) == [cell.id for cell in grid.cells]
    assert set(frame["task.own.id"]) == {"n"}


def test_any_text_and_path_may_be_a_setting(fresh):
    texts = ["a: b # c", "naïve 😀, \"q\" 'q'", "null", "010", "two\nlines", "*x &y !z |"]
    for text in texts:
        grid = qcrd.load_grid(fresh.path, home=fresh.study.home.root, settings={"description": text})
        assert grid.study.grid.description == text
    settings = {"teacher.path": fresh.path.parent / "answers.jsonl"}
    grid = qcrd.load_grid(fresh.path, home=fresh.study.home.root, settings=settings)
    assert [cell.id for cell in grid.cells] == [cell.id for cell in fresh.cells]


def test_a_grid_that_comes_with_qcrd_is_loaded_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert qcrd.load_grid("quickstart", home=tmp_path).name == "quickstart"


def test_results_by_path_are_the_same(tiny, grid):
    assert qcrd.results(tiny.grid, home=tiny.home).equals(grid.results())


def test_the_table_is_that_of_the_command_line(tiny, grid):
    assert grid.table() == tiny("table", str(tiny.grid))
    assert json.loads(grid.table("json"))


def test_cells_without_a_result_are_rows_without_figures(fresh):
    frame = fresh.results()
    assert list(frame.state) == ["planned", "planned"]
    assert frame.accuracy_test.isna().all()


@pytest.mark.parametrize("method", ["dss", "single_task", "qcrd beta=0.4"])
def test_predictions_say_what_was_written_and_whether_it_is_right(grid, method):
    cell = grid.cell(method)
    frame = cell.predictions()
    assert dict(frame.split.value_counts()) == {"test": 12, "validation": 8}
    test = frame[frame.split == "test"]
    assert 100 * test.right.mean() == pytest.approx(cell.record.accuracy["test"])
    questions = cell.planned.cell.splits.test
    assert list(test.question) == [q.text for q in questions]
    assert list(test.gold) == list(test.compared) == [q.label for q in questions]
    if method == "single_task":
        assert all(p is None or p in w for p, w in zip(test.predicted, test.written, strict=True))
    else:
        assert list(test.predicted) == list(test.written)


@pytest.mark.parametrize("method", ["dss", "single_task"])
def test_a_student_answers_as_it_was_evaluated(grid, method):
    cell = grid.cell(method)
    test = cell.predictions().query("split == 'test'")
    student = cell.student()
    answers = student(test.question)
    assert [a.label for a in answers] == list(test.predicted.fillna(""))
    assert student(cell.planned.cell.splits.test[:1], rationale=False)[0].label == answers[0].label
    one = student(test.question.iloc[0])
    assert one == answers[0]


def test_one_cell_is_trained_in_this_process_and_found_by_the_grid(fresh, capsys):
    cell = fresh.cell("dss")
    assert (cell.state, cell.record) == ("planned", None)
    record = cell.train()
    assert record.status == "done"
    assert (cell.state, cell.record) == ("done", record)
    assert list(fresh.results().state) == ["done", "planned"]
    assert "step 6/6" in capsys.readouterr().out


def test_what_is_not_finished_has_neither_predictions_nor_a_student(fresh):
    for ask in (fresh.cells[0].predictions, fresh.cells[0].student):
        with pytest.raises(DataError, match=r"dss seed=0\) is not finished; train it, or run its grid"):
            ask()


def test_a_student_that_was_not_kept_is_named(tiny, grid, tmp_path):
    shutil.copytree(tiny.home, tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "cells" / grid.cells[0].id / "student")
    with pytest.raises(DataError, match=r"its student was not kept; set resources.keep_students: true"):
        qcrd.load_grid(tiny.grid, home=tmp_path / "home").cells[0].student()


def test_teacher_samples_are_a_dataset(tiny, grid):
    samples = grid.samples()
    assert samples.num_rows == 24 * 3
    first = samples[0]
    assert first["answer"].endswith(f"The answer is {first['gold']} .")
    assert (first["task"], first["index"], first["right"], first["unread"]) == ("arithmetic", 0, True, None)
    assert first["label"] == first["gold"]
    assert first["rationale"] and first["rationale"] in first["answer"]
    third = samples[2]
    assert (third["index"], third["label"]) == (2, "( 2 + 29 )")
    assert third["right"] == (third["gold"] == "( 2 + 29 )")
    assert set(samples.features) == set(COLUMNS)
    assert qcrd.teacher_samples(tiny.grid, home=tiny.home).to_list() == samples.to_list()


def test_samples_that_are_not_drawn_are_said_to_be_missing(fresh, grid):
    with pytest.raises(DataError, match="the store lacks all 72 answers to the train questions"):
        fresh.samples()
    with pytest.raises(DataError, match="`qcrd sample GRID --split test`"):
        grid.samples("test")


def test_settings_and_a_limit_change_a_grid_as_on_the_command_line(tiny):
    changed = qcrd.load_grid(
        tiny.grid, home=tiny.home, settings={"beta": 0.3, "seeds": [4], "sweep": {}}, limit=4
    )
    assert changed.plan() == json.loads(
        tiny(
            "plan", str(tiny.grid), "--set", "beta=0.3", "--set", "seeds=[4]", "--set", "sweep={}",
            "--limit", "4", "--json",
        )
    )  # fmt: skip
    assert set(changed.results().beta) == {0.3}
    assert set(changed.results().seed) == {4}
    assert set(changed.results().steps) == {4}
    with pytest.raises(ConfigError, match="did you mean 'beta'"):
        qcrd.load_grid(tiny.grid, home=tiny.home, settings={"contrastive.btea": 0.3})


def test_errors_are_those_of_the_command_line(tmp_path, grid):
    (tmp_path / "bad.yaml").write_text("name: bad\nbase: {task: {trian: 3}}\n")
    with pytest.raises(ConfigError, match=r"bad.yaml:2: base.task.trian: unknown setting"):
        qcrd.load_grid(tmp_path / "bad.yaml")
    with pytest.raises(ConfigError, match="no cell is named 'qcdr'"):
        grid.cell("qcdr")


def test_an_mlflow_address_with_a_password_is_refused(fresh):
    with pytest.raises(QcrdError, match="MLFLOW_TRACKING_PASSWORD"):
        fresh.run(tracking="http://me:secret@127.0.0.1:9")


def test_the_home_is_that_of_the_environment(tiny, monkeypatch):
    monkeypatch.setenv("QCRD_HOME", str(tiny.home))
    monkeypatch.chdir(os.path.dirname(tiny.grid))
    assert set(qcrd.results("tiny.yaml").state) == {"done"}
