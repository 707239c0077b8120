"""A bit flipped in a finished cell's record or answers is found by all who read them, and mended by a run."""

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from small_cells import make_cell
from typer.testing import CliRunner

from qcrd.cell.run import run_cell
from qcrd.cli import app
from qcrd.doctor import remains
from qcrd.errors import DamagedResult
from qcrd.grid.plan.study import Study
from qcrd.grid.results.rows import tables
from qcrd.grid.run.driver import forget_damaged
from qcrd.storage.home import PREDICTIONS, RECORD, Home


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    """A grid of one finished cell."""
    home = Home(tmp_path_factory.mktemp("home"))
    cell = make_cell(home, "finetuning", labels="gold")
    grid = {
        "name": "mine",
        "preset": "embedded",
        "base": cell.settings.model_dump(mode="json", exclude={"seed"}),
        "seeds": 1,
    }
    (home.root / "mine.yaml").write_text(yaml.safe_dump(grid))
    run_cell(cell, "finetuning seed=0", home)
    return Study.open(home.root / "mine.yaml", home)


@pytest.fixture(params=[RECORD, PREDICTIONS])
def file(request, study):
    """One of the cell's files, whole again afterwards."""
    path = study.home.cell(study.ids[0]) / request.param
    whole = path.read_bytes()
    yield path
    path.write_bytes(whole)


def flip(content: bytes, place: int, bit: int) -> bytes:
    place %= len(content)
    return content[:place] + bytes([content[place] ^ (1 << bit)]) + content[place + 1 :]


@given(place=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_no_flipped_bit_goes_unnoticed(study, place, bit):
    home, cell_id = study.home, study.ids[0]
    record = home.record(cell_id)
    for name in (RECORD, PREDICTIONS):
        path = home.cell(cell_id) / name
        whole = path.read_bytes()
        try:
            path.write_bytes(flip(whole, place, bit))
            if json.loads(whole) != _read(path):  # else a blank became another
                with pytest.raises(DamagedResult):
                    home.check_result(cell_id)
            elif name == RECORD:
                assert home.record(cell_id) == record
        finally:
            path.write_bytes(whole)
    home.check_result(cell_id)


def _read(path):
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        return None


def test_table_why_and_doctor_say_it_with_what_to_do(study, file):
    assert tables(study).lines[0].row.finished
    assert [check.state for check in remains.results(study.home)] == ["ok"]
    file.write_bytes(file.read_bytes().replace(b"e", b"a", 1))

    found = tables(study)
    assert not found.lines[0].row.finished and f"{file} is damaged" in found.notes[0]
    (check,) = remains.results(study.home)
    assert check.state == "error" and "trains it again" in check.remedy and str(file) in check.found
    for arguments in ([study.ids[0]], ["finetuning", "--grid", str(study.home.root / "mine.yaml")]):
        with pytest.raises(DamagedResult, match="trains it again"):
            CliRunner().invoke(
                app, ["why", *arguments], env={"QCRD_HOME": str(study.home.root)}, catch_exceptions=False
            )


def test_a_run_trains_it_again_to_the_same_bytes(study, file, capsys):
    whole = json.loads(file.read_bytes())
    file.write_bytes(file.read_bytes().replace(b"e", b"a", 1))
    forget_damaged(study)
    assert f"finetuning seed=0: {file} is damaged" in capsys.readouterr().out
    assert study.home.record(study.ids[0]) is None
    run_cell(study.cells[0].cell, "finetuning seed=0", study.home)
    again = json.loads(file.read_bytes())
    for passing in ("seconds", "peak_bytes", "sha256"):
        whole.pop(passing, None), again.pop(passing, None)
    assert {k: v for k, v in again.items() if k != "statistics"} == {
        k: v for k, v in whole.items() if k != "statistics"
    }


def test_records_of_earlier_times_without_checksums_are_read(study):
    home, cell_id = study.home, study.ids[0]
    path = home.cell(cell_id) / RECORD
    whole = path.read_text()
    old = json.loads(whole)
    del old["sha256"], old["predictions_sha256"]
    path.write_text(json.dumps(old))
    home.check_result(cell_id)
    assert home.record(cell_id).accuracy == json.loads(whole)["accuracy"]
    path.write_text(whole)
