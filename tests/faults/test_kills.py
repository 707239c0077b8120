"""Kills that change something are found; the grid itself is run by `qcrd bench faults`."""

import os
import sys
from pathlib import Path

import pytest

from qcrd.errors import QcrdError
from qcrd.faults.aftermath import RESULTS, equal
from qcrd.faults.kills import FaultFigures, run_with_kills
from qcrd.storage.home import Home


def write(home, content):
    for file in RESULTS:
        path = home.cell("abc") / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def test_one_other_byte_is_another_result(tmp_path):
    homes = Home(tmp_path / "1"), Home(tmp_path / "2")
    for home in homes:
        write(home, "same")
    assert equal("abc", *homes)
    (homes[1].cell("abc") / RESULTS[1]).write_text("somE")
    assert not equal("abc", *homes)


@pytest.fixture
def program(tmp_path, monkeypatch):
    """Instead of `qcrd run`: notes each start, and ends at the third."""
    script = tmp_path / "python"
    script.write_text(
        "#!/bin/sh\n"
        'echo begun >> "$QCRD_HOME"\n'
        'test "$(wc -l < "$QCRD_HOME")" -ge 3 && { echo "ended with $END"; exit "$END"; }\n'
        "exec sleep 60\n"
    )
    script.chmod(0o700)
    monkeypatch.setattr(sys, "executable", str(script))
    return script


def test_a_killed_driver_is_started_anew_until_it_ends(program, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "END", "0")
    said = []
    seconds, kills = run_with_kills(
        Path("grid.yaml"), "auto", Home(tmp_path / "home"), [0.2, 0.4, 50.0], said.append
    )
    assert (tmp_path / "home").read_text().split() == ["begun"] * 3
    assert len(kills) == len(said) == 2 and kills[1] < seconds


def test_a_grid_that_does_not_run_through_is_no_measurement(program, tmp_path, monkeypatch):
    monkeypatch.setitem(os.environ, "END", "1")
    with pytest.raises(QcrdError, match="failed:\nended with 1"):
        run_with_kills(Path("grid.yaml"), "auto", Home(tmp_path / "home"), [0.1, 0.2], str)


def test_the_ratio_is_of_the_undisturbed_time_and_differences_are_named():
    found = FaultFigures(100.0, 130.0, [10.0, 60.0], 3, ["qcrd seed 1"])
    assert found.ratio == pytest.approx(1.3)
    assert "1.30 times (allowed: 1.5)" in found.text()
    assert "2 of 3 cells have equal weights and predictions; different: qcrd seed 1" in found.text()
