"""GPU hours of grids, from their settings alone."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.config import Cell, merged
from qcrd.config.presets import PAPER
from qcrd.grid.plan.cost import CARDS, DECODING_UTILISATION, PARALLEL_UTILISATION, cost, text

GRIDS = Path(__file__).parents[3] / "grids"


def cells(**changes):
    return Cell.model_validate(merged(PAPER, changes))


def test_hours_are_flop_over_what_a_card_does_of_them():
    found = cost([cells()])
    read = found.steps + found.discriminator + found.sampling
    seconds = (read / PARALLEL_UTILISATION + (found.selfplay + found.evaluation) / DECODING_UTILISATION) / (
        CARDS["A100"] * 1e12
    )
    assert found.hours("A100") == pytest.approx(seconds / 3600) and 0 < found.hours("H100") < found.hours(
        "L4"
    )
    assert found.total == pytest.approx(read + found.selfplay + found.evaluation)
    assert json.loads(json.dumps(found.as_object()))["cells"] == 1


def test_equal_cells_and_what_cells_share_count_once():
    one, twice = cost([cells()]), cost([cells(), cells(task={"train": 720})])
    assert twice == one, "all of SVAMP is its 720 training questions"
    seeds = cost([cells(), cells(seed=1)])
    assert seeds.cells == 2 and seeds.sampling == one.sampling and seeds.steps == 2 * one.steps
    larger = cost([cells(), cells(rationales={"m": 20})])
    assert larger.sampling == 4 * one.sampling, "m = 5 reads the first five of 20"
    part = cells(task={"train": 90}, rationales={"m": 20})
    assert cost([cells(), part]).sampling == pytest.approx(one.sampling * (1 + 15 * 90 / 720 / 5)), (
        "a part of it"
    )
    drawn = cost([cells()], {(cells().task, cells().teacher): 0})
    assert drawn.sampling == 0 and drawn.steps == one.steps


def test_what_is_not_counted_is_said():
    found = cost([cells(method="morsd"), cells(teacher={"model": "someone/llm"})])
    assert found.cells == 2 and len(found.uncounted) == 2
    assert "morsd on svamp" in text("grid", found) and "samples of someone/llm" in text("grid", found)


def test_the_command_needs_no_data_and_counts_shared_cells_once():
    paths = [str(GRIDS / f"{name}.yaml") for name in ("table4", "table5")]
    shown = CliRunner().invoke(app, ["cost", *paths, "--json"])
    found = json.loads(shown.output)
    assert shown.exit_code == 0 and found["grids"].keys() == {"table4", "table5"}
    assert found["grids"]["table4"]["cells"] == 12 and found["grids"]["table5"]["cells"] == 15
    assert found["all"]["cells"] == 12 + 15 - 3, "MinMax is + QJ"
    assert (
        0
        < found["all"]["gpu_hours"]["A100"]
        < sum(found["grids"][name]["gpu_hours"]["A100"] for name in ("table4", "table5"))
    )
    said = CliRunner().invoke(app, ["cost", paths[0]]).output
    assert "12 cells" in said and "assumed, not measured" in said and "25%" in said
