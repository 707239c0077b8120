"""`qcrd logs` and `qcrd status`: what a cell wrote down, and why it failed."""

import pytest
from tiny_grid import Run, recorded_answers

from qcrd.cell.record import record_once
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Run:
    """dss failed, qcrd is finished, single_task has not begun."""
    folder = tmp_path_factory.mktemp("logs")
    methods = "product: {method: [dss, single_task, qcrd]}"
    run = Run(folder, recorded_answers(folder / "answers.jsonl"), methods)
    run("train", str(run.grid), "--cell", "qcrd")
    failed = study(run).find("dss")

    def work(folder, journal):
        for step in range(1, 31):
            journal.metrics(step, **{"loss/total": 1 / step})
        raise ValueError("the tyre is flat\nand the pump is lost")

    with pytest.raises(ValueError, match="flat"):
        record_once(failed.cell, failed.name, Home(run.home), work)
    return run


def study(run: Run) -> Study:
    return Study.open(run.grid, Home(run.home))


def test_status_gives_a_failed_cells_reason_in_one_line_with_its_log(tiny):
    lines = tiny("status", str(tiny.grid)).splitlines()
    assert lines[0] == "tiny, preset embedded: 1 done, 1 failed, 1 planned"
    error = tiny.home / "cells" / study(tiny).find("dss").cell.id / "error.txt"
    assert lines[1:] == [f"  failed: dss seed=0: ValueError: the tyre is flat (log: {error})"]
    assert error.read_text().endswith("the pump is lost\n")


@pytest.mark.parametrize("by", ["name", "id"])
def test_a_failed_cell_shows_its_last_events_and_its_traceback(tiny, by):
    cell_id = study(tiny).find("dss").cell.id
    cell = ["dss", "--grid", str(tiny.grid)] if by == "name" else [cell_id[:6]]
    output = tiny("logs", *cell, "-n", "4")
    lines = output.splitlines()
    folder = tiny.home / "cells" / cell_id
    assert lines[0] == f"cell {cell_id}: dss seed=0: failed"
    assert lines[1] == f"journal: {folder / 'journal.jsonl'}, 31 events"
    assert [line.partition("  ")[2].partition("  ")[2] for line in lines[2:5]] == [
        f"step {step}: loss/total {1 / step:.4g}" for step in (28, 29, 30)
    ]
    assert "failed: ValueError: the tyre is flat" in lines[5]
    assert f"error: {folder / 'error.txt'}" in output
    assert lines[-1] == "  and the pump is lost"
    assert len([line for line in lines if line.startswith("  ")]) <= 4 + 4 + 1  # a message of two lines


def test_a_finished_cell_shows_its_journal(tiny):
    output = tiny("logs", "qcrd", "--grid", str(tiny.grid))
    assert ": qcrd seed=0: done" in output
    assert "final/test" in output
    assert "error:" not in output


def test_a_cell_that_has_not_begun_is_said_to_be_so(tiny):
    output = tiny("logs", "single_task", "--grid", str(tiny.grid))
    assert "planned\nit has not begun; its folder would be " in output


def test_settings_without_a_grid_are_refused(tiny):
    assert "name it by --grid" in tiny("logs", "3f9a", "--limit", "3", code=2)
