"""What cells that follow each other in one process share of their preparation, and when they do not."""

from dataclasses import FrozenInstanceError

import pytest
from small_cells import TASK, M, fill, make_cell

from qcrd import config
from qcrd.cell import preparation
from qcrd.cell.preparation import prepare
from qcrd.storage.home import Home


@pytest.fixture(autouse=True)
def nothing_prepared(monkeypatch):
    """Each test begins as a new process."""
    monkeypatch.setattr(preparation, "_cache", {})


def test_cells_that_differ_in_seed_or_loss_share_what_they_learn_from(tmp_path, monkeypatch):
    home = Home(tmp_path)
    fill(home, make_cell(home))
    first = prepare(make_cell(home), home)
    monkeypatch.setattr(preparation, "read_answers", None)  # nothing is read again
    assert prepare(make_cell(home, seed=7), home) is first
    assert prepare(make_cell(home, contrastive=config.Contrastive(beta=0.5)), home) is first


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": "gold"},
        {"rationales": config.Rationales(labels="teacher", m=M - 1)},
        {"method": "dss"},
        {"task": config.Task(train=31, validation=12, test=16)},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_changes_the_rationale_sets_is_prepared_anew(tmp_path, changes):
    home = Home(tmp_path)
    fill(home, make_cell(home))
    first = prepare(make_cell(home), home)
    assert prepare(make_cell(home, **changes), home) != first
    assert prepare(make_cell(home), home) is first


def test_a_changed_store_is_seen(tmp_path):
    home = Home(tmp_path)
    cell = make_cell(home)
    fill(home, cell, m=M - 1)
    assert prepare(cell, home).statistics["teacher/missing"] > 0
    fill(home, cell)
    assert prepare(cell, home).statistics["teacher/missing"] == 0


def test_another_home_with_other_answers_is_another_preparation(tmp_path):
    homes = [Home(tmp_path / name) for name in ("one", "two")]
    for m, home in enumerate(homes, M - 1):
        fill(home, make_cell(home), m=m)
    missing = [prepare(make_cell(home), home).statistics["teacher/missing"] for home in homes]
    assert missing[0] > missing[1] == 0


def test_those_used_longest_ago_go_where_they_would_be_too_many(tmp_path, monkeypatch):
    home = Home(tmp_path)
    fill(home, make_cell(home))

    def of(m):
        return prepare(make_cell(home, rationales=config.Rationales(labels="teacher", m=m)), home)

    monkeypatch.setattr(preparation, "MAX_CACHED_QUESTIONS", 2 * TASK.train)
    first, second = of(1), of(2)
    assert of(1) is first
    third = of(3)  # in the place of the second, since the first was used after it
    assert of(1) is first and of(3) is third
    again = of(2)
    assert again == second and again is not second


def test_nobody_can_change_what_others_read(tmp_path):
    home = Home(tmp_path)
    fill(home, make_cell(home))
    prepared = prepare(make_cell(home), home)
    with pytest.raises(TypeError):
        prepared.statistics["teacher/missing"] = 1
    with pytest.raises(TypeError):
        prepared.sets[0] = prepared.sets[1]
    with pytest.raises(FrozenInstanceError):
        prepared.sets[0].label = "1"
