"""Rows of a grid's table and runs for MLflow, from cells on disk."""

import json

import pytest
from finished_cells import finish

from qcrd.grid.plan.overview import plan_object, plan_text, status_text
from qcrd.grid.plan.study import Study
from qcrd.grid.results.rows import tables
from qcrd.grid.run.mlflow_runs import sources
from qcrd.storage.home import Home
from qcrd.storage.journal import FILE, Journal

GRID = """
name: small
preset: embedded
base:
  task: {train: 10, validation: 4, test: 4}
sweep:
  beta: [1, 0.2, 0]
  scheme: [minmax, mean]
paper: [table5]
seeds: 2
"""


@pytest.fixture
def study(tmp_path) -> Study:
    (tmp_path / "small.yaml").write_text(GRID)
    return Study.open(tmp_path / "small.yaml", Home(tmp_path / "home"))


def test_a_sweep_has_a_section_per_factor_in_the_files_order_with_the_base_in_each(study):
    found = tables(study)
    rows = [(line.setting.group, line.setting.label, line.setting.base) for line in found.lines]
    assert rows == [
        ("beta", "1", False),
        ("beta", "0.2", True),
        ("beta", "0", False),
        ("scheme", "minmax", True),
        ("scheme", "mean", False),
    ]
    assert len(study.cells) == 4 * 2, "the base is one cell a seed, though it stands in two sections"


def test_means_are_over_seeds_and_what_is_missing_or_diverged_is_said(study):
    base = [i for i, planned in enumerate(study.cells) if not planned.factors]
    for number, right in zip(base, (2, 3), strict=True):
        finish(study, number, right)
    other = next(i for i, planned in enumerate(study.cells) if planned.factors)
    finish(study, other, 0, status="diverged")
    found = tables(study)
    line = next(line for line in found.lines if line.setting.label == "0.2")
    assert line.test.mean == pytest.approx(62.5) and len(line.row.finished) == 2 and line.test.over == "seeds"
    assert any("diverged" in note for note in found.notes)
    assert sum("not finished yet" in note for note in found.notes) == 3


def test_states_are_told_from_what_lies_on_disk(study):
    finish(study, 0, 1)
    with Journal(study.home.cell(study.ids[1]) / FILE) as journal:
        journal.status("running")
        journal.metrics(7, **{"loss/total": 1.5})
    with Journal(study.home.cell(study.ids[2]) / FILE) as journal:
        journal.status("failed", "no memory")
    states = study.states()
    assert states[:4] == ["done", "interrupted", "failed", "planned"]
    text = status_text(study)
    assert "step 7/300, loss 1.500" in text and "no memory" in text


def test_the_plan_is_plain_json_and_says_what_its_estimate_is_of(study):
    plan = json.loads(json.dumps(plan_object(study)))
    assert {"id", "name", "method", "seed", "state", "factors", "settings"} == plan["cells"][0].keys()
    assert plan["estimate_seconds"] > 0 and "rough" in plan["estimate_basis"]
    assert plan["cost"]["cells"] == 8 and plan["cost"]["pflop"]["total"] > 0 and plan["models"] == []
    for number in range(len(study.cells)):
        finish(study, number, 1)
    done = plan_object(study)
    assert [need["missing"] for need in done["samples"]] == [14 * 5] and "nothing left" in plan_text(done)
    assert "8 cells to train: about" in plan_text(plan) and "rough" in plan_text(plan)


def test_the_plan_says_which_model_would_not_load(tmp_path):
    model = tmp_path / "pickled"
    model.mkdir()
    for name in ("config.json", "pytorch_model.bin"):
        (model / name).write_text("{}")
    text = GRID.replace("base:\n", f"base:\n  student: {{checkpoint: {model}}}\n")
    (tmp_path / "small.yaml").write_text(text)
    plan = plan_object(Study.open(tmp_path / "small.yaml", Home(tmp_path / "home")))
    assert [(each["role"], each["name"]) for each in plan["models"]] == [("student", str(model))]
    assert f"student {model}: no weights in safetensors" in plan_text(plan)
    assert plan["cost"]["uncounted"] == [f"qcrd on arithmetic with {model}"]


def test_runs_carry_what_people_compare_by(study):
    parent, cells = sources(study)
    assert parent.tags["qcrd.preset"] == "embedded"
    assert len({cell.id for cell in cells}) == len(study.cells)
    first = cells[0]
    assert first.params["beta"] == "0.2" and first.params["scheme"] == "minmax"
    assert first.tags["qcrd.scheme"] == "minmax" and first.tags["qcrd.seed"] == "0"


def test_the_table_says_what_validation_is_and_of_what_the_papers_figures_are(study):
    found = tables(study)
    about = "; ".join(found.about)
    assert "agreement with the teacher's labels" in about
    assert [line.row.published for line in found.lines] == [None, None, None, 69.0, 65.0]
    assert all(line.versus_published is None for line in found.lines) and "Table 5 (SVAMP, T5-base" in about


def test_parameters_are_what_the_method_reads(study, tmp_path):
    text = GRID.split("sweep:")[0] + "product:\n  method: [finetuning, dss, qcrd]\n  k: [1, 0]\n"
    (tmp_path / "methods.yaml").write_text(text)
    other = Study.open(tmp_path / "methods.yaml", study.home)
    finetuning, dss, qcrd, without = (run.params for run in sources(other)[1])
    shared = {"method", "seed", "task", "labels", "steps", "lr", "clip", "student", "train", "denoise"}
    for params in (finetuning, dss, qcrd):
        assert shared <= params.keys() and list(params)[:2] == ["method", "seed"]
    assert (finetuning["train"], finetuning["test"]) == (10, 4)
    own = {"scheme", "beta", "delta", "m", "k", "tau", "lag", "update_steps", "alpha3", "decay"}
    assert own <= qcrd.keys() and "baseline_m" not in qcrd
    for params in (finetuning, dss):
        assert not own & params.keys() and params["baseline_m"] == "1"
    assert without["k"] == "0" and not {"tau", "lag"} & without.keys()
    for run, planned in zip(sources(other)[1], other.cells, strict=True):
        assert ("k" in run.params) == (planned.cell.method.name == "qcrd")


def test_whatever_a_grid_varies_is_a_parameter(study, tmp_path):
    text = GRID.split("sweep:")[0] + "sweep:\n  task.seed: [0, 1]\n  student.architecture.layers: [1, 2]\n"
    (tmp_path / "others.yaml").write_text(text)
    params = [run.params for run in sources(Study.open(tmp_path / "others.yaml", study.home))[1]]
    assert [p.get("task.seed") for p in params] == [None, "1", None]
    assert [p.get("student.architecture.layers") for p in params] == [None, None, "1"]


def test_another_content_is_another_grid_but_the_same_cells(study, tmp_path):
    (tmp_path / "small.yaml").write_text(GRID.replace("beta: [1, 0.2, 0]", "beta: [1, 0.2]"))
    smaller = Study.open(tmp_path / "small.yaml", study.home)
    assert smaller.id != study.id
    assert set(smaller.ids) < set(study.ids)


def test_samples_that_needs_share_are_counted_once(study, tmp_path):
    text = GRID.replace("{train: 10,", "{").replace("sweep:", "product: {task.train: [4, 6]}\nsweep:")
    (tmp_path / "sizes.yaml").write_text(text)
    plan = plan_object(Study.open(tmp_path / "sizes.yaml", study.home))
    assert [(need["wanted"], need["missing"]) for need in plan["samples"]] == [(40, 40), (50, 10)]
    assert {need["teacher"] for need in plan["samples"]} == {"embedded"}
