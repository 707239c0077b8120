"""Against a real server, and where HTTP does not matter against the store behind it.

What the journals hold and what the server shows is compared metric by metric.
"""

import json
import math
import socket
import sqlite3
import threading
import time
from collections import Counter

import pytest
from unreliable import Unreliable

from qcrd.errors import QcrdError
from qcrd.storage.journal import FILE, Artifact, Journal, read
from qcrd.tracking.feeder import Feeder
from qcrd.tracking.mlflow.audit import differences
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.page import find
from qcrd.tracking.mlflow.source import Source


@pytest.fixture(scope="session")
def server(mlflow_server):
    return mlflow_server


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    """A store without its server: the same code answers, without a request's cost."""
    uri = f"sqlite:///{tmp_path_factory.mktemp('store')}/mlflow.db"
    connect(uri).search_experiments()  # makes its tables
    return uri


def connect(uri):
    from mlflow import MlflowClient

    return MlflowClient(uri)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """On a busy machine an answer may take longer than is good for a user."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")


class Grid:
    """A grid of two cells whose journals the tests write."""

    def __init__(self, folder, name, uri):
        self.folder, self.name, self.uri = folder, name, uri
        self.client = connect(uri)
        self.source = self.make(f"{name}-id", f"{name} embedded", folder)
        self.cells = [self.make(f"{name}{i}", f"qcrd-{i}", folder / f"cell{i}") for i in range(2)]

    def make(self, key, name, folder):
        folder.mkdir(exist_ok=True)
        return Source(key, name, folder, {"contrastive.beta": 0.2}, {"qcrd.method": "qcrd", "qcrd.seed": "0"})

    def journal(self, cell):
        return Journal(self.cells[cell].folder / FILE)

    def mirror(self, **options):
        return Mirror(self.uri, self.name, self.source, self.cells, **options)

    def runs(self):
        """The grid's runs, the parent's under the key None."""
        experiment = self.client.get_experiment_by_name(self.name).experiment_id
        runs = self.client.search_runs([experiment])
        by_cell = {run.data.tags.get("qcrd.cell"): run for run in runs}
        assert len(by_cell) == len(runs), "a cell has two runs"
        return by_cell

    def assert_equal(self, cells=(0, 1)):
        """Journals and server agree: each value once, with its step and time."""
        assert differences(self.uri, self.name, [self.cells[i] for i in cells]) == []


def server_metrics(client, run):
    return Counter(
        (name, m.step, m.timestamp, repr(m.value))
        for name in run.data.metrics
        for m in client.get_metric_history(run.info.run_id, name)
    )


@pytest.fixture
def grid(tmp_path, request, store):
    return Grid(tmp_path, request.node.name.lower(), store)


@pytest.fixture
def served(tmp_path, request, server):
    return Grid(tmp_path, request.node.name.lower(), server.uri)


def train(journal, steps):
    for step in steps:
        journal.metrics(step, **{"loss/total": 1 / (step + 1), "accuracy": float(step)})


def test_cells_become_children_with_settings_tags_metrics_files_and_statuses(served, capsys):
    grid = served
    (grid.cells[0].folder / "predictions").mkdir()
    (grid.cells[0].folder / "predictions" / "test.jsonl").write_text("{}\n")
    with grid.journal(0) as journal:
        journal.status("running")
        journal.params(precision="fp32", **{"contrastive.beta": 0.2})
        train(journal, range(5))
        journal.artifact("predictions/test.jsonl")
        journal.status("done")
    with grid.journal(1) as journal:
        journal.status("running")
        journal.metrics(1, **{"loss/total": math.nan, "hinge (active)": 3})
        journal.status("diverged", "loss is not finite at step 1")
    with Journal(grid.folder / FILE) as journal:
        journal.status("running")
        journal.metrics(2, cells_done=2)
    mirror = grid.mirror()
    report = mirror.push()
    assert (report.sent, report.pending, report.error) == (8, 0, None)
    runs = grid.runs()
    parent, done, diverged = runs[None], *(runs[cell.id] for cell in grid.cells)
    assert [r.info.status for r in (parent, done, diverged)] == ["RUNNING", "FINISHED", "FAILED"]
    assert done.data.tags["mlflow.parentRunId"] == parent.info.run_id
    assert done.data.params == {"contrastive.beta": "0.2", "precision": "fp32"}
    assert done.info.run_name == "qcrd-0" and done.data.tags["qcrd.method"] == "qcrd"
    assert math.isnan(diverged.data.metrics["loss/total"]) and diverged.data.metrics["hinge _active_"] == 3
    assert diverged.data.tags["qcrd.message"] == "loss is not finite at step 1"
    events = read(grid.cells[0].folder / FILE)
    assert (done.info.start_time, done.info.end_time) == (events[0].time, events[-1].time)
    [artifact] = grid.client.list_artifacts(done.info.run_id, "predictions")
    assert artifact.path == "predictions/test.jsonl"

    with Journal(grid.folder / FILE) as journal:
        (grid.folder / "table.md").write_text("| method |\n")
        journal.artifact("table.md")
        journal.status("done")
    assert mirror.push().error is None
    assert grid.runs()[None].info.status == "FINISHED"
    assert [a.path for a in grid.client.list_artifacts(parent.info.run_id)] == ["table.md"]
    assert mirror.push().sent == 0
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "")


@pytest.mark.slow
def test_a_journal_that_was_changed_by_hand_sends_no_file_from_elsewhere(grid, tmp_path):
    (tmp_path / "secret.txt").write_text("not for anybody")
    with grid.journal(0) as journal:
        journal.status("running")
    paths = ["../secret.txt", "/etc/hostname"]
    lines = [json.dumps({"kind": "artifact", "path": path, "time": 1}) for path in paths]
    with open(grid.cells[0].folder / FILE, "a") as file:
        file.writelines(f"{line}\n" for line in lines)
    assert [e.path for e in read(grid.cells[0].folder / FILE) if isinstance(e, Artifact)] == paths
    assert grid.mirror().push().error is None
    run = grid.runs()[grid.cells[0].id]
    assert grid.client.list_artifacts(run.info.run_id) == []


def test_a_cell_that_has_not_begun_has_no_run_yet(grid):
    with grid.journal(0) as journal:
        journal.status("running")
    assert grid.mirror().push().error is None
    assert set(grid.runs()) == {None, grid.cells[0].id}


def test_a_resumed_cell_goes_on_in_its_run_and_sends_nothing_twice(grid):
    with grid.journal(0) as journal:
        journal.status("running")
        train(journal, range(10))
        checkpoint = journal.position()
        train(journal, range(10, 20))
    assert grid.mirror().push().sent == 20
    before = server_metrics(grid.client, grid.runs()[grid.cells[0].id])
    with grid.journal(0) as journal:  # another process, later
        journal.truncate(checkpoint)
        journal.status("running", "resumed")
        mirror = grid.mirror()
        assert mirror.push().sent == 0
        train(journal, range(10, 25))
        journal.status("done")
    assert mirror.push().sent == 5
    run = grid.runs()[grid.cells[0].id]
    after = server_metrics(grid.client, run)
    assert before <= after and run.info.status == "FINISHED"
    assert Counter((name, step) for name, step, *_ in after.elements()) == Counter(
        (name, step) for name in ("loss/total", "accuracy") for step in range(25)
    )


@pytest.mark.parametrize("rewinds", [False, True])
def test_a_lost_state_file_doubles_neither_runs_nor_metrics(grid, rewinds):
    with grid.journal(0) as journal:
        train(journal, range(5))
        checkpoint = journal.position()
        train(journal, range(5, 10))
        assert grid.mirror().push().sent == 10
        (grid.folder / "mlflow.json").unlink()
        if rewinds:  # killed between the sending and the noting of it, and resumed from a checkpoint
            journal.truncate(checkpoint)
            time.sleep(0.01)
            train(journal, range(5, 7))
            mirror = grid.mirror()
            assert mirror.push().error is None
            train(journal, range(7, 12))
        else:
            train(journal, range(10, 12))
            mirror = grid.mirror()
        assert mirror.push().error is None
    metrics = server_metrics(grid.client, grid.runs()[grid.cells[0].id])
    assert Counter((name, step) for name, step, *_ in metrics.elements()) == Counter(
        (name, step) for name in ("loss/total", "accuracy") for step in range(12)
    )


def test_a_run_deleted_on_the_server_is_made_anew_and_does_not_hold_up_the_others(grid):
    with grid.journal(0) as first, grid.journal(1) as second:
        train(first, range(3))
        train(second, range(3))
        mirror = grid.mirror()
        assert mirror.push().error is None
        grid.client.delete_run(grid.runs()[grid.cells[0].id].info.run_id)
        train(first, range(3, 5))
        train(second, range(3, 5))
        report = mirror.push()
        assert "qcrd-0" in report.error and report.pending == 2
        assert mirror.push().error is None
    grid.assert_equal()


def test_cells_hang_under_the_grids_new_run_where_the_old_one_was_deleted(served):
    grid = served
    with grid.journal(0) as first, grid.journal(1) as second, Journal(grid.folder / FILE) as own:
        train(first, range(3))
        own.metrics(1, cells_done=1)
        first_time = grid.mirror().push()
        assert (first_time.sent, first_time.made, first_time.moved) == (4, 2, 0)
        old = grid.runs()[None].info.run_id
        experiment = grid.client.get_experiment_by_name(grid.name)
        assert old in experiment.tags["mlflow.note.content"]
        grid.client.set_experiment_tag(
            experiment.experiment_id, "mlflow.note.content", f"ours: {experiment.tags['mlflow.note.content']}"
        )
        grid.client.delete_run(old)
        train(second, range(2))
        again = grid.mirror().push()
    assert again.summary() == "3 events sent, 2 runs created, 1 runs moved under the grid's"
    runs = grid.runs()
    new = runs.pop(None).info.run_id
    assert new != old and len(runs) == 2
    assert {run.data.tags["mlflow.parentRunId"] for run in runs.values()} == {new}
    note = grid.client.get_experiment_by_name(grid.name).tags["mlflow.note.content"]
    assert note.startswith("ours: ") and new in note and old not in note
    grid.assert_equal()
    assert grid.mirror().push().summary() == "0 events sent"


def test_a_journal_left_running_by_a_dead_process_is_shown_as_killed(grid):
    with grid.journal(0) as journal:
        journal.status("running")
    assert grid.mirror(live=False).push().error is None
    assert grid.runs()[grid.cells[0].id].info.status == "KILLED"
    assert grid.mirror().push().error is None
    assert grid.runs()[grid.cells[0].id].info.status == "RUNNING"


def test_more_than_one_batch_arrives_whole(grid):
    with grid.journal(0) as journal, grid.journal(1) as other:
        train(journal, range(600))
        train(other, range(1))
    assert grid.mirror().push().sent == 601
    grid.assert_equal()


def test_a_server_that_was_never_there_costs_neither_time_nor_errors(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{probe.getsockname()[1]}"
    grid = Grid(tmp_path, "nowhere", uri)
    with grid.journal(0) as journal:
        train(journal, range(3))
    began = time.monotonic()
    report = grid.mirror().push()
    assert time.monotonic() - began < 10  # the import of mlflow among it
    assert report.sent == 0 and report.pending == 3 and "Connection refused" in report.error


def test_a_server_killed_in_the_middle_gets_the_rest_when_it_is_back(served, server):
    grid = served
    mirror = grid.mirror()
    with grid.journal(0) as first, grid.journal(1) as second:
        train(first, range(20))
        train(second, range(10))
        assert mirror.push().sent == 30
        server.kill()
        train(first, range(20, 50))
        began = time.monotonic()
        report = mirror.push()
        assert time.monotonic() - began < 10  # the library's own defaults take 248 s
        assert report.sent == 0 and report.pending == 30 and report.error
        train(second, range(10, 30))
        assert grid.mirror().push().pending == 50  # another process knows what is missing
        server.start()
        assert mirror.push() == type(report)(sent=50, pending=0, error=None)
    grid.assert_equal()


@pytest.fixture
def between(served, server):
    """The served grid's mirror behind an unreliable proxy, and the proxy."""
    proxy = Unreliable(int(server.uri.rpartition(":")[2]))
    yield Mirror(proxy.uri, served.name, served.source, served.cells), proxy
    proxy.close()


def test_a_server_that_answers_500_gets_the_rest_once_it_is_well(served, between):
    mirror, proxy = between
    with served.journal(0) as first:
        train(first, range(10))
        assert mirror.push().sent == 10
        proxy.refusing = True
        train(first, range(10, 25))
        report = mirror.push()
        assert report.error and (report.sent, report.pending) == (0, 15)
        proxy.refusing = False
        assert mirror.push() == type(report)(sent=15, pending=0, error=None)
    served.assert_equal([0])


def test_a_server_that_acts_and_then_answers_500_gets_nothing_twice(served, between):
    mirror, proxy = between
    with served.journal(0) as first, served.journal(1) as second:
        train(first, range(10))
        proxy.losing = True  # even the creation of experiment and runs arrives, and is said to have failed
        for step in range(4):
            assert mirror.push().error
            train(second, [step])
        proxy.losing = False
        while mirror.push().error:
            pass
    served.assert_equal()


def test_training_writes_on_while_the_server_holds_everything_back(served, between):
    mirror, proxy = between
    said = []
    with served.journal(0) as first, served.journal(1) as second:
        train(first, range(5))
        proxy.open.clear()
        feeder = Feeder(mirror.push, interval=0.05, say=said.append)
        feeder.start()
        assert proxy.held.wait(60)
        train(first, range(5, 200))  # none of it waits for the server
        train(second, range(50))
        assert not proxy.open.is_set() and proxy.posts == 0
        proxy.open.set()
        assert feeder.stop(120).pending == 0
    served.assert_equal()


def test_a_locked_database_is_said_and_everything_arrives_afterwards(grid, store, monkeypatch):
    from mlflow.store.db import utils

    said = utils.sql.text  # the library waits for 20 seconds before it gives up; here for a part of one
    monkeypatch.setattr(utils.sql, "text", lambda text: said(text.replace("20000", "300")))
    mirror = grid.mirror()
    with grid.journal(0) as first, grid.journal(1) as second:
        train(first, range(10))
        assert mirror.push().error is None
        other = sqlite3.connect(store.removeprefix("sqlite:///"))
        try:
            other.execute("BEGIN EXCLUSIVE")
            train(second, range(20))
            report = mirror.push()
            assert "locked" in report.error and report.pending == 20
        finally:
            other.rollback()
            other.close()
        assert mirror.push().error is None
    grid.assert_equal()


def test_of_eight_drivers_that_begin_at_once_all_use_one_experiment(served):
    with served.journal(0) as first, served.journal(1) as second:
        train(first, range(3))
        train(second, range(3))
    folders = [served.folder / str(i) for i in range(8)]
    grids = [served.make(f"{served.name}-{i}", f"driver {i}", folder) for i, folder in enumerate(folders)]
    start = threading.Barrier(8)

    def drive(source):
        mirror = Mirror(served.uri, served.name, source, [])
        with Journal(source.folder / FILE) as log:
            log.metrics(0, done=1)
        start.wait(60)
        while mirror.push().error:
            pass

    threads = [threading.Thread(target=drive, args=(source,)) for source in grids]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    found = [e for e in served.client.search_experiments() if e.name == served.name]
    assert len(found) == 1
    runs = served.client.search_runs([found[0].experiment_id])
    assert sorted(run.info.run_name for run in runs) == [f"driver {i}" for i in range(8)]


def test_the_experiment_opens_on_the_grids_view_and_keeps_what_people_change_there(served):
    mirror = served.mirror(varied=["contrastive.beta"])
    with served.journal(0) as journal:
        train(journal, range(2))
    assert mirror.push().error is None
    experiment = served.client.get_experiment_by_name(served.name)
    view = f"mlflow.sharedViewState.{served.source.id}"
    assert json.loads(experiment.tags[view])["name"] == served.source.name
    assert "compare the runs" in experiment.tags["mlflow.note.content"]
    served.client.set_experiment_tag(experiment.experiment_id, view, "mine")
    again = served.mirror()
    assert again.push().error is None
    assert served.client.get_experiment(experiment.experiment_id).tags[view] == "mine"
    page = find(served.uri, served.folder, served.source.id)
    assert page == again.page() and page.run_id == served.runs()[None].info.run_id
    assert f"/runs/{page.run_id}/artifacts/report.html?" in page.report


def test_a_grid_that_was_never_sent_has_no_page(tmp_path, server):
    with pytest.raises(QcrdError, match="qcrd sync"):
        find(server.uri, tmp_path, "unknown")
