"""Cells found by the beginnings of their ids."""

import json

import pytest

from qcrd.cell.finished import FinishedCell, whole_id
from qcrd.errors import ConfigError, DataError
from qcrd.storage.files import write_json
from qcrd.storage.home import Home


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    for cell_id, name in (("3f9a00000000", "dss seed=0"), ("3f9b00000000", "qcrd beta=0.4 seed=0")):
        write_json(home.cell(cell_id) / "cell.json", {"name": name})
    (home.cell("no-id")).mkdir()
    return home


def test_a_beginning_that_one_cell_has_is_enough(home):
    assert whole_id(home, "3f9a") == "3f9a00000000"
    assert whole_id(home, "3f9b00000000") == "3f9b00000000"


def test_a_beginning_that_several_have_is_refused_with_their_ids(home):
    for prefix in ("3f", ""):
        with pytest.raises(ConfigError, match="allowed: the id of a cell"):
            whole_id(home, prefix)
    with pytest.raises(ConfigError, match=r"2 cells \(3f9a00000000, 3f9b00000000"):
        whole_id(home, "3f9")


@pytest.mark.parametrize(
    ("typed", "near"),
    [
        ("3f8b", "3f9b00000000 (qcrd beta=0.4 seed=0)"),
        ("beta=0.4", "3f9b00000000 (qcrd beta=0.4 seed=0)"),
        ("dss sed=0", "3f9a00000000 (dss seed=0)"),
    ],
)
def test_an_unknown_cell_is_refused_with_those_that_are_near(home, typed, near):
    with pytest.raises(ConfigError) as caught:
        whole_id(home, typed)
    assert str(caught.value).partition("similar: ")[2].startswith(near)


def test_what_is_like_nothing_has_nothing_near(home):
    with pytest.raises(ConfigError, match=r"lists them\)$"):
        whole_id(home, "zzzz")


def test_a_cell_without_a_record_is_not_finished(home):
    with pytest.raises(DataError, match="3f9a00000000 is not finished; `qcrd run`"):
        FinishedCell.find(home, "3f9a")


def test_a_record_of_another_version_is_refused(home):
    record = {
        "id": "3f9a00000000", "name": "dss seed=0", "status": "done", "identity": {}, "accuracy": {},
        "settings": {"task": {"of_old": 1}}, "chosen_step": 1, "seconds": 1.0,
    }  # fmt: skip
    (home.cell("3f9a00000000") / "record.json").write_text(json.dumps(record))
    with pytest.raises(ConfigError, match="settings are of another version of qcrd"):
        FinishedCell.find(home, "3f9a")
