"""Commands that only look start at once: what they import, each in a process of its own."""

import json
import os
import subprocess
import sys

import pytest
from finished_cells import finish

from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home
from qcrd.tracking import progress

HEAVY = {"torch", "transformers", "ray", "datasets", "sklearn", "vllm"}
DRAWING = {"matplotlib", "jinja2"}
COMPUTING = {"scipy", "pyarrow", "pandas", "numpy"}
GRID = """
name: small
preset: embedded
base:
  task: {train: 10, validation: 4, test: 4}
product:
  method: [dss, qcrd]
seeds: 2
"""
CODE = """
import atexit, sys
def tell():
    print("\\nloaded", *{name.partition(".")[0] for name in sys.modules})
atexit.register(tell)
sys.argv = ["qcrd", *sys.argv[1:]]
from qcrd.cli import main
main()
"""
NOBODY = "http://127.0.0.1:9"  # the port of a service that nobody runs


@pytest.fixture(scope="module")
def study(tmp_path_factory) -> Study:
    folder = tmp_path_factory.mktemp("light")
    (folder / "small.yaml").write_text(GRID)
    study = Study.open(folder / "small.yaml", Home(folder / "home"))
    for number, planned in enumerate(study.cells):
        if planned.cell.settings.method == "dss":
            finish(study, number, 1 + planned.cell.settings.seed)
    study.folder.mkdir(parents=True, exist_ok=True)
    progress.save(study.folder / progress.FILE, NOBODY, {study.id: progress.Progress("run")})
    return study


def loaded(study: Study, *arguments: str, code: int = 0) -> tuple[set[str], str]:
    """Top-level modules that a command has imported when it ends, and what it prints."""
    environment = {**os.environ, "QCRD_HOME": str(study.home.root)}
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "QCRD_STORE"):
        environment.pop(name, None)
    result = subprocess.run(
        [sys.executable, "-c", CODE, *arguments],
        env=environment,
        cwd=study.home.root.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == code, result.stderr
    output, _, modules = result.stdout.rpartition("\nloaded ")
    return set(modules.split()), output + result.stderr


def test_help(study):
    modules, output = loaded(study, "--help")
    assert not modules & (HEAVY | DRAWING | COMPUTING | {"yaml", "tokenizers"}) and "plan" in output


def test_plan(study):
    modules, output = loaded(study, "plan", "small.yaml")
    assert not modules & (HEAVY | DRAWING | COMPUTING) and "cells to train" in output


def test_status(study):
    modules, output = loaded(study, "status", "small.yaml")
    assert not modules & (HEAVY | DRAWING | COMPUTING) and "2 done, 2 planned" in output


def test_cost(study):
    modules, output = loaded(study, "cost", "small.yaml", "--preset", "embedded")
    assert not modules & (HEAVY | DRAWING | COMPUTING) and "PFLOP" in output


def test_table(study):
    modules, output = loaded(study, "table", "small.yaml")
    assert not modules & (HEAVY | DRAWING | {"pyarrow"}) and "| dss" in output


def test_samples_ls(study):
    modules, output = loaded(study, "samples", "ls")
    assert not modules & (HEAVY | DRAWING) and "holds no samples" in output


def test_why(study):
    cell_id = next(i for i, p in zip(study.ids, study.cells, strict=True) if p.cell.settings.method == "dss")
    modules, output = loaded(study, "why", cell_id, "--json")
    assert not modules & (HEAVY | DRAWING | {"pyarrow"})
    assert json.loads(output)["cell"]["id"] == cell_id


def test_open(study):
    modules, output = loaded(study, "open", "small.yaml", "--print", "--tracking", NOBODY, code=2)
    assert not modules & HEAVY and f"MLflow at {NOBODY} does not show the grid" in output
