"""What the grid is measured with is the grid: real records, a real server, everything counted."""

import pytest

from qcrd.cell.resolved import resolve
from qcrd.cell.run import run_cell
from qcrd.grid.bench.cells import cells, run_empty_cell, run_sequentially, run_with_ray
from qcrd.grid.bench.throughput import GridFigures
from qcrd.storage.home import Home


def test_a_cell_that_trains_nothing_leaves_what_a_cell_leaves(tmp_path):
    home = Home(tmp_path)
    (cell,) = cells(1)
    record = run_empty_cell(cell, "seed=0", home, lambda progress: None, True)
    assert home.record(record.id) == record and record.status == "done"
    assert {path.name for path in home.cell(record.id).iterdir()} == {
        "cell.json",
        "journal.jsonl",
        "lease",
        "record.json",
    }
    assert run_sequentially(cells(2), run_empty_cell) > 0


def test_the_figures_are_medians_and_the_ratio_counts_our_start_up():
    figures = GridFigures(40, [0.1, 0.1], [0.4, 0.9], [0.1, 0.1], [5.0, 5.0], [1.9, 1.7], [0.0, 0.02])
    found = figures.summary()
    assert found["ratio"] == figures.ratio == pytest.approx((5 / 0.5 + 5 / 1.0) / 2)
    assert found["two_workers_over_one"] == pytest.approx(1.8)
    assert found["mlflow_share"] == pytest.approx(0.01)
    assert "1.00 %" in figures.text()
    alone = GridFigures(40, [0.1], [0.4], [0.1], [5.0], [], [])
    assert alone.summary()["two_workers_over_one"] is None and "two workers" not in alone.text()


def test_cells_go_through_ray_and_mlflow_has_them_all(local_ray, mlflow_server):
    fed, rate = run_with_ray(cells(3), 1, run_empty_cell, mlflow_server)
    assert len(fed.end_times) == 3 and fed.end_times == sorted(fed.end_times)
    assert rate > 0 and fed.seconds >= fed.end_times[-1] and fed.feed_seconds >= 0
    from mlflow import MlflowClient

    client = MlflowClient(mlflow_server.uri)
    experiment = client.get_experiment_by_name("bench").experiment_id
    runs = client.search_runs([experiment])
    assert sorted(run.info.run_name for run in runs) == ["bench", "seed=0", "seed=1", "seed=2"]
    assert {run.info.status for run in runs} == {"FINISHED"}


def test_busy_cells_are_real_ones(tmp_path):
    (cell,) = cells(1, steps=2)
    smaller = cell.settings.task.model_copy(update={"train": 16, "validation": 4, "test": 4})
    small = resolve(cell.settings.model_copy(update={"task": smaller}))
    record = run_cell(small, "busy", Home(tmp_path))
    assert record.status == "done" and record.peak_bytes
