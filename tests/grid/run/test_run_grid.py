"""Whole grids on a real local Ray: what is finished stays, what is interrupted goes on."""

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest
from tiny_grid import Run, recorded_answers

from qcrd.storage import journal

pytestmark = pytest.mark.slow

ALONE = "resources: {concurrent_cells: 1}"  # one worker, which imports torch once, is enough


@pytest.fixture(scope="module")
def answers(tmp_path_factory):
    return recorded_answers(tmp_path_factory.mktemp("recorded") / "answers.jsonl")


def test_a_grid_is_run_once_and_its_table_printed(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [finetuning, dss, qcrd]}\n" + ALONE)
    states = [cell["state"] for cell in run.plan()["cells"]]
    assert states == ["planned"] * 3
    assert [need["missing"] for need in run.plan()["samples"]] == [3 * (24 + 8)]

    output = run("run", str(run.grid))
    assert "| qcrd" in output and "1/1" in output
    plan = run.plan()
    assert [cell["state"] for cell in plan["cells"]] == ["done"] * 3
    assert [need["missing"] for need in plan["samples"]] == [0]
    assert run("table", str(run.grid)).strip() in output
    assert len(run.table().lines) == 3

    before = run.written()
    assert "3 of them already finished" in run("run", str(run.grid))
    assert run.written() == before, "nothing is done twice"

    # Two grids that share a cell train it once.
    run.grid.write_text(run.grid.read_text().replace("name: tiny", "name: other"))
    plan = json.loads(run("plan", str(run.grid), "--json"))
    assert [cell["state"] for cell in plan["cells"]] == ["done"] * 3


def test_a_killed_driver_leaves_a_grid_that_goes_on_to_the_same_results(tmp_path, answers):
    rest = "product: {method: [dss, qcrd]}\n" + ALONE
    for name in ("killed", "whole"):
        (tmp_path / name).mkdir()
    steps = 400  # enough that the second cell is not at its end when its worker notices the driver's
    run = Run(tmp_path / "killed", answers, rest, steps=steps, every=20)
    process = run.start("run", str(run.grid))
    second = run.plan()["cells"][1]["id"]
    _wait(lambda: _step(run.home / "cells" / second) >= 20, process)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    done = run.written()
    assert len([path for path in done if path.endswith("record.json")]) == 1
    _wait(lambda: run.plan()["cells"][1]["state"] == "interrupted")  # its actor has ended too

    output = run("run", str(run.grid))
    assert "1 of them already finished" in output
    assert {path: when for path, when in run.written().items() if path in done} == done

    whole = Run(tmp_path / "whole", answers, rest, steps=steps, every=20)
    whole.in_process()
    assert run.results() == whole.results()


def test_a_stopped_grid_says_so_and_ends_within_seconds(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [dss]}", steps=5000, every=5000)
    process = run.start("run", str(run.grid))
    folder = run.home / "cells" / run.plan()["cells"][0]["id"]
    _wait(lambda: _step(folder) >= 10, process)
    process.terminate()
    begun = time.monotonic()
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run the same command to continue" in output
    assert time.monotonic() - begun < 30
    statuses = [e.status for e in journal.read(folder / journal.FILE) if isinstance(e, journal.Status)]
    assert statuses[-1] == "stopped"
    assert "1 interrupted" in run("status", str(run.grid))


def test_a_grid_whose_ray_is_killed_ends_with_an_error_and_can_go_on(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [dss]}", steps=5000, every=5000)
    process = run.start("run", str(run.grid))
    folder = run.home / "cells" / run.plan()["cells"][0]["id"]
    _wait(lambda: _step(folder) >= 10, process)
    (raylet,) = [p for p in psutil.Process(process.pid).children() if p.name() == "raylet"]
    raylet.kill()
    output, _ = process.communicate(timeout=60)  # waited for ever
    assert process.returncode == 2, output
    assert "Ray ended on the node" in output and "run the same command to continue" in output
    assert "1 interrupted" in run("status", str(run.grid))


def test_two_jobs_at_once_with_256_open_files_each_train_every_cell_once(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [finetuning]}", steps=400, every=200)
    jobs = [run.start("run", str(run.grid), files=256) for _ in range(2)]
    outputs = [job.communicate(timeout=280)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], outputs
    assert all("1/1" in output for output in outputs), "both print the table"
    assert sum("[1/1]" in output for output in outputs) == 1, "one of them has trained"
    (folder,) = run.home.glob("cells/*")
    steps = [e.step for e in journal.read(folder / journal.FILE) if isinstance(e, journal.Metrics)]
    assert steps == sorted(steps) and max(steps) == 400


def test_a_home_that_cannot_be_written_is_said_before_anything_starts(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [finetuning]}")
    run.home.write_text("a file where the folder should be")
    output = run.here("run", str(run.grid), code=2)
    assert "cannot write" in output and str(run.home) in output and "Ray" not in output


def test_a_cell_that_fails_is_named_and_the_others_finish(tmp_path, answers):
    rest = (
        "product: {student.tokenizer: [null, /no/such/folder], method: [dss]}\n"
        "resources: {retries: 1, concurrent_cells: 1}"
    )
    run = Run(tmp_path, answers, rest)
    output = run("run", str(run.grid), code=1)
    assert "failed" in output and "/no/such/folder" in output
    assert sorted(cell["state"] for cell in run.plan()["cells"]) == ["done", "failed"]
    assert any("1 of 1 cells failed" in note for note in run.table().notes)


def test_more_than_the_cluster_has_is_refused_before_anything_runs(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [dss]}\nresources: {cell_gpus: 1}")
    output = run("run", str(run.grid), code=2)
    assert "resources.cell_gpus" in output or "cell_gpus 1" in output
    assert not (run.home / "cells").exists()


def test_the_embedded_teacher_answers_through_vllm_in_an_actor(tmp_path, answers):
    run = Run(tmp_path, answers, "product: {method: [dss]}")
    text = run.grid.read_text()
    # A poor teacher, so that its training ends at the first check.
    teacher = "teacher: {engine: vllm, model: embedded, accuracy: 0.01, max_tokens: 48}"
    lines = [f"  {teacher}" if "engine: recorded" in line else line for line in text.splitlines()]
    run.grid.write_text("\n".join(lines).replace("m: 3", "baseline_m: 2"))
    assert [need["missing"] for need in run.plan()["samples"]] == [2 * (24 + 8)]
    output = run("sample", str(run.grid))  # no cells, whose workers take as long
    assert "64 of 64 samples" in output
    assert [need["missing"] for need in run.plan()["samples"]] == [0]


def _step(folder: Path) -> int:
    steps = [e.step for e in journal.read(folder / journal.FILE) if isinstance(e, journal.Metrics)]
    return max(steps, default=0)


def _wait(condition, process: subprocess.Popen | None = None, seconds: float = 240) -> None:
    begun = time.monotonic()
    while not condition():
        assert process is None or process.poll() is None, process.communicate()[0]
        assert time.monotonic() - begun < seconds, "waited too long"
        time.sleep(0.3)
