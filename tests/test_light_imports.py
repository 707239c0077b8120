"""Commands that only look start at once: what they import."""

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
NOBODY = "http://127.0.0.1:9"  # the port of a service that nobody runs
COMMANDS = {
    "help": ["--help"],
    "settings": ["settings", "beta"],
    "plan": ["plan", "small.yaml"],
    "status": ["status", "small.yaml"],
    "grids": ["grids", "."],
    "cost": ["cost", "small.yaml", "--preset", "embedded"],
    "table": ["table", "small.yaml"],
    "why": ["why", None, "--json"],
    "logs": ["logs", None],
    "samples ls": ["samples", "ls"],
    "open": ["open", "small.yaml", "--print", "--tracking", NOBODY],
}
# One process runs them all: those that may import least first, so that each is held to what it may import.
CODE = """
import contextlib, io, json, sys
told = {}
for name, arguments in json.loads(sys.argv[1]).items():
    sys.argv = ["qcrd", *arguments]
    output, code = io.StringIO(), 0
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        try:
            from qcrd.cli import main
            main()
        except SystemExit as ended:
            code = ended.code or 0
    modules = {module.partition(".")[0] for module in sys.modules} | {"scipy.stats"} & sys.modules.keys()
    told[name] = {"modules": sorted(modules), "output": output.getvalue(), "code": code}
print(json.dumps(told))
"""


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


@pytest.fixture(scope="module")
def told(study: Study) -> dict[str, dict]:
    """For each command its output and exit status, and the top-level modules imported by its end."""
    environment = {**os.environ, "QCRD_HOME": str(study.home.root)}
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "QCRD_STORE"):
        environment.pop(name, None)
    commands = {name: [each or finished(study) for each in words] for name, words in COMMANDS.items()}
    result = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(commands)],
        env=environment,
        cwd=study.home.root.parent,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)


def finished(study: Study) -> str:
    """Id of a cell that is done."""
    return next(i for i, p in zip(study.ids, study.cells, strict=True) if p.cell.settings.method == "dss")


@pytest.mark.parametrize(
    ("command", "heavy", "output"),
    [
        ("help", HEAVY | DRAWING | COMPUTING | {"yaml", "tokenizers"}, "plan"),
        ("settings", HEAVY | DRAWING | COMPUTING | {"yaml"}, "section 4.1"),
        ("plan", HEAVY | DRAWING | COMPUTING, "cells to train"),
        ("status", HEAVY | DRAWING | COMPUTING, "2 done, 2 planned"),
        ("grids", HEAVY | DRAWING | COMPUTING, "small.yaml  4 cells, embedded"),
        ("cost", HEAVY | DRAWING | COMPUTING, "PFLOP"),
        ("table", HEAVY | DRAWING | {"pyarrow", "scipy.stats"}, "| dss"),
        ("why", HEAVY | DRAWING | {"pyarrow"}, ""),
        ("logs", HEAVY | DRAWING | {"pyarrow"}, "it has no journal"),
        ("samples ls", HEAVY | DRAWING, "holds no samples"),
    ],
)
def test_a_command_that_looks_imports_nothing_heavy(told, command, heavy, output):
    assert told[command]["code"] == 0
    assert not heavy & set(told[command]["modules"])
    assert output in told[command]["output"]


def test_why_tells_of_the_cell(study, told):
    assert json.loads(told["why"]["output"])["cell"]["id"] == finished(study)


def test_open_imports_mlflow_and_drawing_at_most(told):
    assert told["open"]["code"] == 2
    assert not HEAVY & set(told["open"]["modules"])
    assert f"MLflow at {NOBODY} does not show the grid" in told["open"]["output"]
