"""What a soak looks for is found where it is there."""

import os
import random
import socket
import subprocess
import sys
import time

import pytest
import torch

from qcrd.cell.run import run_cell
from qcrd.faults.aftermath import faults
from qcrd.grid.plan.study import Study
from qcrd.grid.run.mlflow_runs import sources
from qcrd.storage.home import RECORD, Home
from qcrd.tracking.mlflow.mirror import Mirror

pytestmark = pytest.mark.slow

GRID = """
name: after
preset: embedded
base:
  task: {train: 12, validation: 4, test: 4}
  student: {architecture: {d_model: 16, d_kv: 4, d_ff: 16, layers: 1, heads: 2}}
  training: {steps: 2, batch: 4, evaluate_every: 2}
  rationales: {labels: gold}
  method: finetuning
seeds: 2
"""


@pytest.fixture
def ended(tmp_path, monkeypatch):
    """A grid that is through, its MLflow store, and the folder of its Ray's sessions."""
    monkeypatch.chdir(tmp_path)  # without a server MLflow puts files into ./mlruns
    (tmp_path / "after.yaml").write_text(GRID)
    (tmp_path / "ray").mkdir()
    study = Study.open(tmp_path / "after.yaml", Home(tmp_path / "home"))
    study.home.samples.mkdir(parents=True)
    torch.set_num_threads(1)  # as a cell has in a grid
    for planned in study.cells:
        run_cell(planned.cell, planned.name, study.home)
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    assert Mirror(uri, "after", *sources(study)).push().error is None
    return study, uri, tmp_path / "ray"


def look(ended, again=0):
    return faults(*ended, again, random.Random(0))


def test_where_all_is_well_nothing_is_found(ended):
    assert look(ended, again=2) == []


def test_cells_that_are_not_there_once_or_not_as_undisturbed_are_named(ended):
    study = ended[0]
    (study.home.cell(study.ids[0]) / RECORD).unlink()
    (study.home.root / "cells" / "other").mkdir()
    weights = study.home.cell(study.ids[1]) / "student" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    first, second = (planned.name for planned in study.cells)
    found = look(ended, again=2)
    assert f"{first}: interrupted" in found and "3 folders of cells for 2 cells" in found
    assert f"{second}: weights or predictions differ from a run without faults" in found and len(found) == 3


def test_processes_sockets_leases_and_temporary_files_are_seen(ended, monkeypatch):
    study, _, sessions = ended
    monkeypatch.setattr("qcrd.faults.aftermath.ENDED", 0.5)
    environment = {**os.environ, "QCRD_HOME": str(study.home.root)}
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment)
    listening = socket.socket(socket.AF_UNIX)
    try:
        (sessions / "s").mkdir()
        monkeypatch.chdir(sessions / "s")  # a socket's path has a limit
        listening.bind("plasma")
        folder = study.home.cell(study.ids[0])
        (folder / ".record.json.1a2b.tmp").touch()
        lease = next(folder.glob("lease/*.free"))
        lease.rename(lease.with_suffix(""))
        deadline = time.monotonic() + 10
        while len(found := look(ended)) < 4 and time.monotonic() < deadline:
            time.sleep(0.1)  # until the process has its environment
    finally:
        process.kill()
        process.wait()
        listening.close()
    kinds = [line.partition(":")[0] for line in found]
    assert kinds == ["process left", "socket left", "lease left", "left"], found
