"""Warnings of `qcrd plan` about settings without effect."""

import os
from dataclasses import asdict

import pytest

from qcrd.config import Grid
from qcrd.grid.plan.expansion import expand
from qcrd.grid.plan.ineffective import warnings
from qcrd.storage.files import write_json
from qcrd.storage.home import Home
from qcrd.types import CellRecord

BUSY = {"chosen": 9, "active": 0.9, "teacher_active": 0.9, "teacher_least": 0.3, "selfplay_active": 0.9}


def cells(**settings):
    return expand(Grid(name="g", **settings), "embedded")


def said(home, todo=None, questions=720, **settings):
    found = cells(**settings)
    train = {planned.cell.settings.task: questions for planned in found}
    return warnings(found, [True] * len(found) if todo is None else todo, home, train)


def finish(home, number, cell, **counted):
    statistics = {f"negatives/{name}": value for name, value in counted.items()}
    settings = cell.model_dump(mode="json")
    record = CellRecord(str(number), f"cell {number}", "done", {}, settings, {}, 1, 1.0, statistics)
    path = home.cell(str(number)) / "record.json"
    write_json(path, asdict(record))
    os.utime(path, (number, number))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


def test_an_ordinary_grid_has_no_warning(home):
    assert (
        said(home, sweep={"beta": [0, 0.5], "tau": [0, 2], "top_k": [10, None], "delta": [2], "k": [2]}) == []
    )
    assert said(home, base={"method": "dss"}) == []


def test_what_is_swept_where_beta_is_0_cannot_matter(home):
    off = {"contrastive": {"beta": 0}, "discriminator": {"enabled": False}}
    assert said(home, base=off, sweep={"delta": [2, 4], "k": [1, 2]}) == [
        "delta has no effect if beta is 0, as in all cells that vary it",
        "k has no effect if beta is 0, as in all cells that vary it",
    ]
    [one] = said(home, base={"contrastive": {"beta": 0}}, sweep={"tau": [1, 2]})
    assert one.endswith("except for what the discriminator learns from self-play")


def test_copies_of_a_greedy_rationale_are_no_more_than_one(home):
    [one] = said(home, base={"selfplay": {"tau": 0}}, sweep={"k": [0, 1, 2, 3]})
    assert one.startswith("k 2, 3: with tau 0 all k rationales are identical")


def test_a_lag_that_reaches_beyond_the_training_is_said(home):
    [one] = said(home, base={"training": {"steps": 138}})  # six epochs of 720 questions
    assert "selfplay.lag 5: all 6 iterations of the training" in one and "training.iteration: 19" in one
    assert said(home, base={"training": {"steps": 139}}) == []
    assert said(home, base={"training": {"steps": 138, "iteration": 19}}) == []
    assert said(home, base={"training": {"steps": 138}, "selfplay": {"lag": 4}}) == []


def test_negatives_that_were_off_in_the_last_cell_of_the_kind_are_said(home):
    [like] = cells()
    finish(home, 1, like.cell.settings, **BUSY)
    assert said(home, seeds=[7]) == []
    finish(home, 2, like.cell.settings, **(BUSY | {"selfplay_active": 0.002, "selfplay_least": 3.5}))
    [one] = said(home, seeds=[7])
    assert one.startswith("delta 4, self-play's negatives: beta has no effect on them")
    assert "in cell 2, the last finished cell of this kind, 0.2% of self-play's negatives" in one
    assert said(home, seeds=[7], todo=[False]) == [], "what is done needs no warning"
    assert said(home, base={"selfplay": {"tau": 0.7}}) == [], "drawn otherwise it may push"
    assert said(home, base={"contrastive": {"delta": 6}}) == [], "a wider margin may reach them"
    assert len(said(home, base={"contrastive": {"delta": 2}})) == 1
    assert said(home, base={"contrastive": {"beta": 0}}) == []
    assert said(home, base={"student": {"max_rationale": 20}}) == [], "another kind"


def test_a_margin_below_every_likelihood_that_was_seen_is_said(home):
    [like] = cells()
    finish(home, 1, like.cell.settings, **BUSY)
    [one] = said(home, base={"contrastive": {"delta": 0.25}})
    assert "delta 0.25, the teacher's negatives" in one and "had l = 0.30" in one


def test_a_factor_that_no_method_reads_is_named(home):
    unread = "has no effect: no method of this grid reads it"
    base = {"method": "finetuning"}
    assert f"sweep.contrastive.beta {unread}" in said(home, base=base, sweep={"beta": [0.1, 0.3]})[0]
    assert said(home, base=base, product={"beta": [0.1, 0.3]}) == [f"product.contrastive.beta {unread}"]
    both = {"method": ["finetuning", "qcrd"]}
    assert not any(unread in line for line in said(home, product=both, sweep={"beta": [0.1, 0.3]}))
    assert not any(unread in line for line in said(home, product=both | {"beta": [0.1, 0.3]}))
    assert not any(unread in line for line in said(home, base=base, sweep={"lr": [0.1, 0.3]}, seeds=2))
