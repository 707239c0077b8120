"""An audit that finds nothing has looked at everything."""

import pytest

from qcrd.storage.journal import FILE, Journal
from qcrd.tracking.mlflow.audit import differences
from qcrd.tracking.mlflow.client import open_client
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.source import Source

pytestmark = pytest.mark.slow  # MLflow makes a database


@pytest.fixture
def pushed(tmp_path):
    """A server's store, and two cells that are on it as their journals say."""
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    cells = [Source(f"id{i}", f"cell {i}", tmp_path / f"cell{i}") for i in range(2)]
    grid = Source("grid", "grid", tmp_path / "grid")
    for source in (grid, *cells):
        with Journal(source.folder / FILE) as log:
            log.metrics(1, loss=0.5, accuracy=float("nan"))
            log.metrics(2, loss=0.25)
            log.status("done")
    assert Mirror(uri, "audited", grid, cells).push().error is None
    return uri, cells


def test_what_arrived_whole_has_no_difference(pushed):
    assert differences(pushed[0], "audited", pushed[1]) == []


def test_each_figure_and_run_that_is_missing_or_too_many_is_named(pushed):
    uri, cells = pushed
    with Journal(cells[0].folder / FILE) as log:
        log.metrics(3, loss=0.125)
    assert differences(uri, "audited", cells) == ["cell 0: the server lacks 1 metrics, such as loss at 3"]

    client = open_client(uri)
    experiment = client.get_experiment_by_name("audited").experiment_id
    runs = {run.data.tags.get("qcrd.cell"): run.info.run_id for run in client.search_runs([experiment])}
    client.log_metric(runs["id1"], "loss", 7.0, step=9)
    client.create_run(experiment, tags={"qcrd.cell": "id0"})
    found = differences(uri, "audited", [*cells, Source("id2", "cell 2", cells[0].folder)])
    assert found == [
        "cell 0: 2 runs",
        "cell 1: the server additionally has 1 metrics, such as loss at 9",
        "cell 2: 0 runs",
    ]
    assert differences(uri, "other", cells) == ["no experiment other"]


def test_what_a_cell_measured_again_on_the_machine_is_no_difference(pushed):
    uri, cells = pushed
    path = cells[0].folder / FILE
    with Journal(path) as log:
        log.metrics(3, **{"time/seconds_per_step": 1.5, "loss": 0.125})
    client = open_client(uri)
    experiment = client.get_experiment_by_name("audited").experiment_id
    (run,) = client.search_runs([experiment], "tags.`qcrd.cell` = 'id0'")
    client.log_metric(run.info.run_id, "time/seconds_per_step", 2.5, step=3)
    client.log_metric(run.info.run_id, "loss", 0.25, step=3)
    found = differences(uri, "audited", cells[:1])
    assert found == [
        "cell 0: the server lacks 1 metrics, such as loss at 3",
        "cell 0: the server additionally has 1 metrics, such as loss at 3",
    ]
