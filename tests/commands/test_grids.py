"""`qcrd grids`: what comes with qcrd, and how long it takes here."""

import json
from pathlib import Path

import pytest
from tiny_grid import Run, recorded_answers
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.errors import DataError
from qcrd.grid.plan.shipped_folder import shipped_folder

GRIDS = Path(__file__).parents[2] / "grids"


@pytest.fixture(autouse=True)
def nowhere(monkeypatch, tmp_path):
    for name in ("QCRD_DATA", "QCRD_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QCRD_HOME", str(tmp_path / "home"))


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["grids", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


@pytest.mark.slow
def test_every_shipped_grid_is_listed_with_its_content(monkeypatch):
    monkeypatch.setattr("qcrd.grid.plan.study.gpu_count", lambda: 0)
    assert shipped_folder() == GRIDS
    grids = {Path(grid["path"]).name: grid for grid in json.loads(listed("--json"))}
    assert grids.keys() == {path.name for path in GRIDS.glob("*.yaml")}
    quickstart = grids["quickstart.yaml"]
    assert (quickstart["cells"], quickstart["finished"], quickstart["preset"]) == (5, 0, "embedded")
    assert quickstart["description"].startswith("Finetuning, Single-Task, DSS and QCRD")
    assert quickstart["seconds"] > 0
    assert "QCRD_DATA is not set" in grids["recorded.yaml"]["error"]


def test_grids_of_ones_own_are_listed_with_what_is_done(tmp_path, monkeypatch):
    run = Run(tmp_path, recorded_answers(tmp_path / "answers.jsonl"), "product: {method: [dss, qcrd]}")
    (tmp_path / "wrong.yaml").write_text("name: wrong\nbsae: {}\n")
    monkeypatch.chdir(tmp_path)
    first, second, error = listed(".").splitlines()
    assert first.split()[:4] == ["tiny.yaml", "2", "cells,", "embedded"]
    assert second.split() == ["wrong.yaml", "not", "planned"]
    assert error.startswith("wrong.yaml: 2: bsae: unknown setting")
    run.in_process()
    assert "2 cells, embedded  done" in listed(".")


def test_a_folder_without_grids_is_said_to_be_one(tmp_path):
    with pytest.raises(DataError, match="has no grids"):
        listed(str(tmp_path))
