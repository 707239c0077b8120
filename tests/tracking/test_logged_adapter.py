"""A student with LoRA on a real MLflow server: the adapter, and the id and commit of its base."""

import json
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from small_cells import fill, make_cell

from qcrd import config
from qcrd.cell.finished import FinishedCell
from qcrd.cell.run import run_cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.study import Study
from qcrd.grid.run.mlflow_runs import mirror
from qcrd.storage.home import Home
from qcrd.student.load import load_student
from qcrd.tracking.mlflow.client import open_client

LLAMA = config.Architecture(family="llama", d_model=16, d_kv=8, d_ff=32, layers=2, heads=2, kv_heads=1)
LENGTHS = {"max_input": 64, "max_rationale": 24, "max_label": 12}
COMMIT, LATER = "0123456789abcdef0123456789abcdef01234567", "fedcba9876543210fedcba9876543210fedcba98"
TRAINING = config.Training(steps=40, batch=8, lr=1e-2, evaluate_every=40)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A cache of the Hub with a model of which `main` is one commit."""
    cached = tmp_path / "hub" / "models--someone--tiny"
    for seed, commit in enumerate((COMMIT, LATER)):
        base = load_student(config.Student(architecture=LLAMA, **LENGTHS), seed, torch.device("cpu"))
        base.save(cached / "snapshots" / commit)
    (cached / "refs").mkdir()
    (cached / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return cached


def logged(tmp_path, server, name, **student):
    """The finished cell of a grid of one, and its model on the server."""
    home = Home(tmp_path / "home")
    section = config.Student(adapter=config.Adapter(r=4, alpha=16.0), **LENGTHS, **student)
    cell = make_cell(home, "dss", student=section, training=TRAINING)
    fill(home, cell)
    base = cell.settings.model_dump(mode="json", exclude={"seed"})
    grid = tmp_path / f"{name}.yaml"
    grid.write_text(yaml.safe_dump({"name": name, "preset": "embedded", "base": base}))
    record = run_cell(cell, "dss seed=0", home)
    study = Study.open(grid, home)
    assert study.ids == [record.id]
    assert mirror(study, server.uri).push().error is None
    client = open_client(server.uri)
    experiment = client.get_experiment_by_name(name).experiment_id
    (model,) = client.search_logged_models([experiment])
    return FinishedCell.find(home, record.id), model


def answers(server, model, ended):
    """What the model answers to the test questions."""
    import mlflow

    mlflow.set_tracking_uri(server.uri)
    loaded = mlflow.pyfunc.load_model(f"models:/{model.model_id}")
    found = loaded.predict([{"question": q.text} for q in ended.cell.splits.test])
    return [each["label"] for each in found]


def evaluated(ended):
    rows = json.loads((ended.folder / "predictions.json").read_text())["test"]
    return [row["text"] for row in rows]


def files(server, model, place):
    import mlflow

    mlflow.set_tracking_uri(server.uri)
    return Path(mlflow.artifacts.download_artifacts(f"models:/{model.model_id}", dst_path=str(place)))


def test_an_adapter_is_logged_with_id_and_commit_of_its_base_which_it_is_answered_with(
    tmp_path, mlflow_server, cache
):
    ended, model = logged(tmp_path, mlflow_server, "of-the-hub", checkpoint="someone/tiny")
    assert {
        "base": "someone/tiny",
        "base_commit": COMMIT,
        "adapter": "LoRA r=4",
    }.items() <= model.params.items()
    assert f"someone/tiny at commit {COMMIT}" in model.tags["mlflow.note.content"]
    folder = files(mlflow_server, model, tmp_path / "model")
    (settings,) = folder.rglob("adapter_config.json")
    named = json.loads(settings.read_text())
    assert (named["base_model_name_or_path"], named["revision"]) == ("someone/tiny", COMMIT)
    weights = [f.name for f in folder.rglob("*.safetensors") if "code" not in f.relative_to(folder).parts]
    assert weights == ["adapter_model.safetensors"], "no base"
    described = yaml.safe_load((folder / "MLmodel").read_text())["metadata"]
    assert described == {
        "adapter": "lora",
        "base": "someone/tiny",
        "base_kind": "hub",
        "base_commit": COMMIT,
    }
    assert any(line.startswith("peft") for line in (folder / "requirements.txt").read_text().splitlines())
    expected = evaluated(ended)
    assert answers(mlflow_server, model, ended) == expected
    (cache / "refs" / "main").write_text(LATER)  # somebody pushes other weights
    assert answers(mlflow_server, model, ended) == expected
    shutil.rmtree(cache / "snapshots" / LATER)
    assert answers(mlflow_server, model, ended) == expected


def test_an_adapter_on_a_folder_is_answered_with_that_folder_alone(tmp_path, mlflow_server):
    place = tmp_path / "base"
    student = config.Student(architecture=LLAMA, **LENGTHS)
    load_student(student, 0, torch.device("cpu")).save(place)
    ended, model = logged(tmp_path, mlflow_server, "of-a-folder", checkpoint=str(place))
    assert model.params["base"] == str(place) and "base_commit" not in model.params
    assert answers(mlflow_server, model, ended) == evaluated(ended)
    load_student(student, 1, torch.device("cpu")).save(place)
    with pytest.raises(ConfigError, match="has changed since the adapter was trained on it"):
        answers(mlflow_server, model, ended)
    shutil.rmtree(place)
    with pytest.raises(ConfigError, match="is not here; copy it there"):
        answers(mlflow_server, model, ended)


def test_an_adapter_on_random_weights_needs_nothing_else(tmp_path, mlflow_server):
    ended, model = logged(tmp_path, mlflow_server, "of-nothing", architecture=LLAMA)
    assert model.params["base"] == "random weights"
    assert answers(mlflow_server, model, ended) == evaluated(ended)
