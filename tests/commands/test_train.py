"""`qcrd train` as it is typed: one cell in this process."""

import subprocess
import sys

import pytest
import torch
from tiny_grid import Run, recorded_answers

from qcrd.storage.home import Home

METHODS = ["finetuning", "single_task", "dss", "morsd", "edit", "qcrd"]


@pytest.fixture(scope="module")
def grid(tmp_path_factory):
    folder = tmp_path_factory.mktemp("train")
    run = Run(folder, recorded_answers(folder / "answers.jsonl"), f"product: {{method: {METHODS}}}")
    student = "student: {architecture: {"
    run.grid.write_text(run.grid.read_text().replace(student, f"{student}family: llama, "))
    return run


@pytest.mark.parametrize("method", METHODS)
def test_a_decoder_only_student_is_trained_by_every_method_and_the_grid_finds_it(grid, method):
    output = grid("train", str(grid.grid), "--cell", f"{method} seed=0", "--device", "cpu")
    assert "step 6/6" in output
    assert "done: validation" in output
    (planned,) = [c for c in grid.plan()["cells"] if c["name"].startswith(f"{method} ")]
    assert planned["state"] == "done"
    assert "already finished" in grid("train", str(grid.grid), "--cell", planned["id"][:8])


def test_a_cell_has_the_threads_of_a_grids_cell(tmp_path):
    run = Run(tmp_path, recorded_answers(tmp_path / "a.jsonl"), "product: {method: [dss]}")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run("train", str(run.grid), "--cell", "dss")
        (cell,) = run.plan()["cells"]
        assert Home(run.home).record(cell["id"]).versions["device"] == "cpu x1"
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_samples_that_need_ray_are_asked_for(tmp_path):
    run = Run(tmp_path, recorded_answers(tmp_path / "a.jsonl"), "product: {method: [dss]}")
    answers = f"engine: recorded, path: {tmp_path / 'a.jsonl'}"
    run.grid.write_text(run.grid.read_text().replace(answers, "engine: vllm"))
    output = run("train", str(run.grid), "--cell", "dss", code=2)
    assert "are missing, and engine vllm needs Ray: `qcrd sample GRID` draws them" in output


def test_a_gpu_that_is_not_there_is_refused(grid):
    assert "torch sees no GPU" in grid("train", str(grid.grid), "--cell", "dss", "--device", "cuda", code=2)


@pytest.mark.slow
def test_neither_ray_nor_vllm_nor_mlflow_is_imported():
    heavy = {"ray", "vllm", "mlflow", "datasets"}
    code = (
        "import gc, sys; gc.disable(); import qcrd.grid.run.one_cell; "
        f"print(len({heavy} & sys.modules.keys()))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout == "0\n"
