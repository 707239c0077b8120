"""docs/python.ipynb runs from its first cell to its last."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[2] / "docs" / "python.ipynb"
CELLS = json.loads(NOTEBOOK.read_text())["cells"]
CODE = ["".join(cell["source"]) for cell in CELLS if cell["cell_type"] == "code"]


def test_its_outputs_name_no_folder_of_a_machine_and_are_small():
    outputs = json.dumps([cell.get("outputs", []) for cell in CELLS])
    assert len(outputs) < 5_000
    assert "/tmp" not in outputs and "/home" not in outputs  # noqa: S108


def test_it_uses_the_whole_interface():
    import qcrd

    public = [
        name
        for kind in (qcrd.Grid, qcrd.GridCell)
        for name, value in vars(kind).items()
        if callable(value) and not name.startswith("_") and name != "finished"
    ]
    text = "\n".join("".join(cell["source"]) for cell in CELLS)
    assert [name for name in public if f"{name}(" not in text] == []
    assert [name for name in ("load_grid", "results", "teacher_samples") if f"qcrd.{name}(" not in text] == []


@pytest.mark.slow
def test_its_cells_run(tmp_path):
    environment = {**os.environ, "QCRD_HOME": str(tmp_path / "unused"), "TMPDIR": str(tmp_path)}
    for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI", "QCRD_STORE"):
        environment.pop(name, None)
    code = "\n\n".join([*CODE, "assert set(frame.state) == {'done'}", "print('all is well')"])
    ended = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=600
    )
    assert ended.stdout.endswith("all is well\n"), ended.stdout + ended.stderr
    assert not (tmp_path / "unused").exists()
