"""Journals as files of TensorBoard and of Weights & Biases."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny_grid import Run, recorded_answers

from qcrd.errors import DataError
from qcrd.grid.plan.study import Study
from qcrd.grid.run.copies import copy_journals
from qcrd.storage import journal
from qcrd.storage.home import Home


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("copies")
    run = Run(folder, recorded_answers(folder / "a.jsonl"), "product: {method: [finetuning, dss]}")
    run("train", str(run.grid), "--cell", "dss", "--device", "cpu")
    return Study.open(run.grid, Home(run.home))


def values(study):
    """All finite values of the cell's journal: (name, step) -> value."""
    cell = study.find("dss").cell
    events = journal.read(study.home.cell(cell.id) / journal.FILE)
    metrics = [event for event in events if isinstance(event, journal.Metrics)]
    return {(name, event.step): value for event in metrics for name, value in event.values.items()}


def test_tensorboard_reads_every_value_however_often_it_is_written(study, tmp_path):
    for _ in range(2):
        said = copy_journals(study, "tensorboard", tmp_path)
    (run,) = [path for path in (tmp_path / "tiny").iterdir() if path.is_dir()]
    assert run.name == "dss seed=0" and f"1 run with {len(values(study)):,} values" in said
    events = EventAccumulator(str(run), size_guidance={"scalars": 0}).Reload()
    read = {
        (name, event.step): event.value for name in events.Tags()["scalars"] for event in events.Scalars(name)
    }
    for key, value in values(study).items():
        assert read[key] == pytest.approx(value, rel=1e-6)
    record = study.home.record(study.find("dss").cell.id)
    assert read["result/test", record.settings["training"]["steps"]] == pytest.approx(record.accuracy["test"])


@pytest.mark.slow
def test_wandb_has_one_offline_run_per_cell_with_settings_and_results(study, tmp_path):
    for _ in range(2):
        copy_journals(study, "wandb", tmp_path)
    (run,) = (tmp_path / "tiny" / "wandb").glob("offline-run-*")
    cell = study.find("dss").cell
    assert run.name.endswith(cell.id)
    (file,) = run.glob("run-*.wandb")
    content = file.read_bytes()
    for text in (b"loss/total", b"result/test", b"dss seed=0", json.dumps("dss").encode()):
        assert text in content


def test_a_grid_that_has_not_begun_has_nothing_to_copy(tmp_path):
    run = Run(tmp_path, recorded_answers(tmp_path / "a.jsonl"), "product: {method: [dss]}")
    with pytest.raises(DataError, match="no cell has begun"):
        copy_journals(Study.open(run.grid, Home(run.home)), "tensorboard", tmp_path / "out")
