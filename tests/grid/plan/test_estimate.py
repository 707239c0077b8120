"""How long a grid will take."""

import os
from dataclasses import asdict

import pytest

from qcrd.config import Cell, Resources, Student, Teacher
from qcrd.config.presets import EMBEDDED
from qcrd.grid.plan import estimate as module
from qcrd.grid.plan.estimate import concurrent_cells, estimate
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.storage.files import write_json
from qcrd.storage.home import Home
from qcrd.types import CellRecord


def cell(method="dss", **changes) -> Cell:
    return Cell.model_validate({**EMBEDDED, "method": method, **changes})


def finished(home, number, of, seconds, status="done"):
    record = CellRecord(str(number), "", status, {}, of.model_dump(mode="json"), {}, 1, seconds)
    write_json(home.cell(str(number)) / "record.json", asdict(record))


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1}, raising=False)
    monkeypatch.setattr("qcrd.grid.plan.estimate.gpu_count", lambda: 0)


ALONE = Resources(concurrent_cells=1)


def test_cells_run_side_by_side_as_far_as_there_is_room(monkeypatch):
    assert concurrent_cells(Resources()) == 2 and concurrent_cells(ALONE) == 1
    assert concurrent_cells(Resources(cell_cpus=0.5)) == 4 and concurrent_cells(Resources(cell_cpus=8)) == 1
    monkeypatch.setattr("qcrd.grid.plan.estimate.gpu_count", lambda: 1)
    assert concurrent_cells(Resources(cell_gpus=1)) == 1 and concurrent_cells(Resources()) == 2


def test_a_fresh_home_has_a_rough_figure_for_the_embedded_preset_alone(home):
    found = estimate([cell("dss"), cell("qcrd")], [], home, ALONE)
    assert found.seconds == 60 + 90 and "rough" in found.basis
    half = cell("qcrd", training={**EMBEDDED["training"], "steps": 150})
    assert estimate([half], [], home, ALONE).seconds == 45
    other = cell(student=Student(checkpoint="google/t5-v1_1-base").model_dump())
    unknown = estimate([cell(), other], [], home, ALONE)
    assert unknown.seconds is None and "until a cell of each method" in unknown.basis


def test_what_was_measured_here_counts_where_it_is_alike(home):
    finished(home, 1, cell(seed=1), 20.0)
    finished(home, 2, cell(seed=2), 24.0)
    finished(home, 3, cell(seed=3), 1.0, status="diverged")
    finished(home, 4, cell(training={**EMBEDDED["training"], "batch": 8}), 2.0)
    finished(home, 5, cell("qcrd"), 99.0)
    finished(home, 6, cell(student={**EMBEDDED["student"], "tokenizer": "t5"}), 500.0)
    found = estimate([cell(), cell(seed=7), cell(seed=8)], [], home, Resources())
    assert found.seconds == pytest.approx(3 * 22 / 2)
    assert found.basis == "2 cells at a time; as measured here"
    assert found.cpu_hours == pytest.approx(3 * 22 / 3600) and found.gpu_hours == 0
    assert estimate([cell()], [], home, Resources()).seconds == 22, "one cell is not shared between cores"
    longer = cell(training={**EMBEDDED["training"], "steps": 600})
    assert estimate([longer], [], home, ALONE).seconds == pytest.approx(44), "it is counted by step"


def test_sampling_is_in_it_where_its_rate_is_known_and_named_where_not(home):
    embedded = SampleNeed(cell().task, cell().teacher, 5, ("train",))
    large = SampleNeed(cell().task, Teacher(model="Qwen/Qwen2.5-7B-Instruct"), 5, ("train",))
    recorded = SampleNeed(cell().task, Teacher(engine="recorded", path="answers.jsonl"), 4, ("train",))
    plain = estimate([cell()], [(embedded, "e", 0), (recorded, "r", 10)], home, ALONE)
    assert plain.seconds == 60 and "without" not in plain.basis
    more = estimate([cell()], [(embedded, "e", 2400)], home, ALONE)
    assert more.seconds == pytest.approx(60 + 2400 / module.SAMPLES_PER_SECOND)
    assert "without training the embedded teacher, starting vllm" in more.basis
    assert "without sampling Qwen/" in estimate([cell()], [(large, "l", 5)], home, ALONE).basis
    write_json(home.rate("l"), {"samples_per_second": 50.0})
    known = estimate([cell()], [(large, "l", 500)], home, ALONE)
    assert known.seconds == 60 + 10 and "without sampling" not in known.basis


def test_settings_of_another_version_are_no_measure(home):
    write_json(home.cell("old") / "record.json", {"status": "done", "settings": {"gone": 1}, "seconds": 1.0})
    assert estimate([cell()], [], home, ALONE).seconds == 60


def test_nothing_left_takes_no_time(home):
    assert estimate([], [], home, ALONE).seconds == 0
