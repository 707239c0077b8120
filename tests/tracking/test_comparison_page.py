"""A small grid on a real MLflow server: what the page, the models and a served student have of it."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright
from tiny_grid import Run, recorded_answers
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.grid.plan.study import Study
from qcrd.grid.results import report
from qcrd.grid.run.mlflow_runs import mirror
from qcrd.storage import journal
from qcrd.storage.files import read_json
from qcrd.storage.home import Home
from qcrd.storage.journal import Journal
from qcrd.tracking.mlflow.client import open_client
from qcrd.tracking.mlflow.page import find
from qcrd.training.trainer import PREDICTIONS


@contextlib.contextmanager
def serving(tracking, model_id, folder):
    """`mlflow models serve` on loopback; gives a function that asks it questions."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{probe.getsockname()[1]}"
    command = [
        *(sys.executable, "-m", "mlflow", "models", "serve", "--model-uri", f"models:/{model_id}"),
        *("--env-manager", "local", "--host", "127.0.0.1", "--port", address.rpartition(":")[2]),
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # it looks for uvicorn
    environment = {**os.environ, "MLFLOW_TRACKING_URI": tracking, "PATH": path}
    with (folder / "serve.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )

    def ask(questions, **params):
        body = {"dataframe_records": [{"question": text} for text in questions], "params": params}
        request = urllib.request.Request(
            f"{address}/invocations", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        return json.load(urllib.request.urlopen(request, timeout=120))["predictions"]

    try:
        deadline = time.monotonic() + 240
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"{address}/ping", timeout=5)
                break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "serve.log").read_text()
            time.sleep(0.3)
        yield ask
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def server(mlflow_server):
    return mlflow_server


@pytest.fixture(scope="module")
def study(tmp_path_factory, server):
    """Four finished cells that the server has."""
    folder = tmp_path_factory.mktemp("grid")
    factors = "product: {method: [dss, qcrd]}\nsweep: {beta: [0, 1]}"
    run = Run(folder, recorded_answers(folder / "answers.jsonl"), factors)
    run.in_process()
    study = Study.open(run.grid, Home(run.home))
    with Journal(study.folder / journal.FILE) as log:
        log.status("running")
        for path in report.write(study):
            log.artifact(path)
        log.status("done")
    study.save_preset()
    assert mirror(study, server.uri).push().error is None
    return study


@pytest.fixture(scope="module")
def client(server):
    return open_client(server.uri)


@pytest.fixture(scope="module")
def runs(study, client):
    """The cells' runs, by cell."""
    experiment = client.get_experiment_by_name("tiny").experiment_id
    found = client.search_runs([experiment], "tags.`qcrd.setting` != ''")
    return {run.data.tags["qcrd.cell"]: run for run in found}


@pytest.fixture(scope="module")
def model(study, client, runs):
    """The one logged model, with the cell that it is of."""
    [model] = client.search_logged_models([next(iter(runs.values())).info.experiment_id])
    return model, client.get_run(model.source_run_id).data.tags["qcrd.cell"]


def test_each_run_names_its_three_splits_as_data_sets(runs):
    for run in runs.values():
        found = {each.dataset.name: each for each in run.inputs.dataset_inputs}
        assert set(found) == {"arithmetic train", "arithmetic validation", "arithmetic test"}
        assert json.loads(found["arithmetic train"].dataset.profile) == {"num_rows": 24}
        assert [tag.value for tag in found["arithmetic test"].tags] == ["testing"]


def test_load_is_measured_with_each_evaluation(client, runs):
    for run in runs.values():
        steps = [m.step for m in client.get_metric_history(run.info.run_id, "accuracy/test")]
        name = "system/cpu_utilization_percentage"
        assert [m.step for m in client.get_metric_history(run.info.run_id, name)] == steps == [3, 6]


def test_the_student_that_is_best_on_validation_becomes_a_model_once(study, server, client, runs, model):
    logged, cell_id = model
    accuracies = {i: study.home.record(i).accuracy["validation"] for i in study.ids}
    assert accuracies[cell_id] == max(accuracies.values())
    assert [output.model_id for output in runs[cell_id].outputs.model_outputs] == [logged.model_id]
    again = mirror(study, server.uri)
    assert again.push().error is None
    assert len(client.search_logged_models([logged.experiment_id])) == 1


def test_a_served_student_answers_as_it_did_when_it_was_evaluated(study, server, model, tmp_path):
    logged, cell_id = model
    cell = dict(zip(study.ids, study.cells, strict=True))[cell_id].cell
    task, splits = cell.task, cell.splits
    with serving(server.uri, logged.model_id, tmp_path) as ask:
        labels = [a["label"] for a in ask([q.text for q in splits.test])]
        told = ask([splits.test[0].text], explain=True)
    before = read_json(study.home.cell(cell_id) / PREDICTIONS)["test"]
    assert labels == [prediction["text"] for prediction in before]
    right = sum(task.correct(label, q) for label, q in zip(labels, splits.test, strict=True))
    assert 100 * right / len(labels) == study.home.record(cell_id).accuracy["test"]
    assert set(told[0]) == {"label", "rationale"}


def test_open_prints_the_pages_and_opens_a_browser_unless_told_not_to(study, server, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    grid = study.home.root.parent / "tiny.yaml"
    environment = {"QCRD_HOME": str(study.home.root), "MLFLOW_TRACKING_URI": server.uri}
    page = find(server.uri, study.folder, study.id)
    for more in (["--print"], []):
        result = CliRunner().invoke(app, ["open", str(grid), *more], env=environment, catch_exceptions=False)
        assert result.output.split() == ["runs:", page.comparison, "report:", page.report]
    assert opened == [page.comparison]


def test_open_without_a_server_opens_the_report(study, monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", opened.append)
    environment = {"QCRD_HOME": str(study.home.root), "MLFLOW_TRACKING_URI": ""}
    grid = str(study.home.root.parent / "tiny.yaml")
    result = CliRunner().invoke(app, ["open", grid], env=environment, catch_exceptions=False)
    report = (study.folder / "report.html").as_uri()
    assert result.output.splitlines()[0] == f"report: {report}"
    assert opened == [report]


def test_the_report_shows_what_the_students_say_and_keeps_it(study):
    text = (study.folder / "report.html").read_text()
    assert "Example outputs" in text and "✗" in text
    kept = [read_json(path) for path in study.home.root.glob("cells/*/rationales/*.json")]
    assert len(kept) == len(study.ids) and all(len(found) == 4 for found in kept)


@pytest.fixture(scope="module")
def chromium():
    """A headless browser, of the system; Playwright's own would be a download."""
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no chromium on this machine (Debian: apt install chromium)")
    with sync_playwright() as started:
        arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # it refuses to run as root with one
        browser = started.chromium.launch(executable_path=program, args=[*arguments, "--disable-gpu"])
        yield browser
        browser.close()


def test_a_user_walks_from_the_experiments_to_runs_report_and_student(chromium, study, server, tmp_path):
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    context.set_default_timeout(60_000)
    # MLflow's assistant opens itself in front of whoever comes for the first time
    context.add_init_script("localStorage['mlflow.assistant.fab.autoOpenedOnFirstLoad_v1'] = 'true'")
    page = context.new_page()

    def seen(name, page):
        page.screenshot(path=tmp_path / f"{name}.png")

    page.goto(f"{server.uri}/#/experiments")
    page.get_by_role("link", name="tiny", exact=True).click()
    page.get_by_text("Got it").click()  # of what MLflow says about itself at a first visit
    seen("experiment", page)

    def follow(link):
        """The page that a link opens."""
        with context.expect_page() as opened:
            link.first.click()
        return opened.value

    runs = follow(page.get_by_role("link", name="compare the runs"))
    for factor in ("method", "beta"):
        runs.get_by_text(f"{factor} vs. final/test").first.wait_for()
    seen("charts", runs)

    runs.locator("label:has(input[value=TABLE])").click()
    accuracies = runs.locator(".ag-center-cols-container [col-id*='final/test']")
    accuracies.first.wait_for()
    shown = [float(text) for text in accuracies.all_inner_texts() if text != "-"]
    assert len(shown) == len(study.ids) and shown == sorted(shown, reverse=True)
    for box in runs.locator(".ag-row .ag-selection-checkbox input").all()[:4]:
        box.check()
    seen("table", runs)
    runs.get_by_role("button", name="Compare", exact=True).click()
    runs.get_by_text("Comparing 4 Runs").first.wait_for()
    seen("compared", runs)
    runs.go_back()

    student = follow(runs.locator("a[href*='/models/']"))
    student.get_by_text("accuracy on test").wait_for()
    seen("student", student)

    report = follow(page.get_by_role("link", name="read the report"))
    inside = report.frame_locator("iframe")
    inside.get_by_role("heading", name="Example outputs").wait_for()
    assert inside.locator("svg").count() > 1
    seen("report", report)
    context.close()
