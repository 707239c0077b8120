"""`qcrd rm`, and the parts of a grid that `--only` and `--again` stand for."""

import pytest
from tiny_grid import Run, recorded_answers

from qcrd.cell.remove import remove_cell
from qcrd.errors import ConfigError
from qcrd.grid.plan.study import Study
from qcrd.grid.run import driver
from qcrd.storage.home import Home


@pytest.fixture
def grid(tmp_path):
    return Run(tmp_path, recorded_answers(tmp_path / "a.jsonl"), "product: {method: [finetuning, dss]}")


def states(grid) -> dict[str, str]:
    return {cell["name"]: cell["state"] for cell in grid.plan()["cells"]}


def train(grid, name: str) -> None:
    grid("train", str(grid.grid), "--cell", name, "--device", "cpu")


def test_deleted_results_are_trained_again_and_samples_stay(grid):
    train(grid, "dss seed=0")
    samples = sorted(path for path in grid.home.rglob("*") if "samples" in path.parts)
    assert "finetuning" not in grid("rm", str(grid.grid), "--yes")
    assert set(states(grid).values()) == {"planned"}
    assert sorted(path for path in grid.home.rglob("*") if "samples" in path.parts) == samples
    train(grid, "dss seed=0")
    assert states(grid)["dss seed=0"] == "done"


def test_only_the_named_cells_go_and_only_after_yes(grid):
    train(grid, "dss seed=0")
    train(grid, "finetuning seed=0")
    assert "add --yes" in grid("rm", str(grid.grid), "--only", "dss", code=2)
    assert set(states(grid).values()) == {"done"}
    grid("rm", str(grid.grid), "--only", "dss", "--yes")
    assert states(grid) == {"dss seed=0": "planned", "finetuning seed=0": "done"}
    cell_id = next(cell["id"] for cell in grid.plan()["cells"] if cell["name"] == "finetuning seed=0")
    assert "deleted 1 cell" in grid("rm", cell_id[:8], "--yes")
    assert "nothing to delete" in grid("rm", str(grid.grid), "--yes")
    assert "no cell in" in grid("rm", "3f9a", code=2)
    assert "no cell in" in grid("rm", "", code=2)
    assert "nothing to delete" in grid("rm", "quickstart", "--yes")  # a grid that comes with qcrd, by name


def test_a_cell_in_training_is_not_deleted(grid):
    train(grid, "dss seed=0")
    home = Home(grid.home)
    (planned,) = Study.open(grid.grid, home).matching(["dss"])
    with home.lock_cell(planned.cell.id), pytest.raises(ConfigError, match="is training it; stop that"):
        remove_cell(Home(grid.home), planned.cell.id)
    assert home.record(planned.cell.id) is not None


def test_patterns_stand_for_methods_names_ids_and_states(grid):
    train(grid, "dss seed=0")
    study = Study.open(grid.grid, Home(grid.home))

    def names(*patterns):
        return [planned.name for planned in study.matching(patterns)]

    everything = [planned.name for planned in study.cells]
    assert names("dss") == names("dss seed=0") == names("d*") == names("done") == ["dss seed=0"]
    assert names("*seed=0") == everything
    assert names("dss", "planned") == everything
    assert names(study.matching(["dss"])[0].cell.id[:6]) == ["dss seed=0"]
    assert names("failed") == []
    with pytest.raises(ConfigError, match=r"no cell matches 'dsss'.*did you mean 'dss'"):
        names("dsss")


def test_what_is_deleted_is_trained_again_whatever_else_is_chosen(grid):
    study = Study.open(grid.grid, Home(grid.home))
    chosen, repeated = driver._choice(study, ["dss"], ["finetuning"])
    assert repeated == study.matching(["finetuning"])
    assert chosen == [*study.cells]
    assert driver._choice(study, ["dss"], []) == (study.matching(["dss"]), ())
    assert driver._choice(study, [], ["dss"]) == (study.cells, study.matching(["dss"]))


def test_a_pattern_without_a_cell_is_refused_before_ray_starts(grid):
    for option in ("--only", "--again"):
        output = grid("run", str(grid.grid), option, "dsss", code=2)
        assert "did you mean 'dss'" in output
        assert "starting Ray" not in output


def test_a_run_trains_only_the_chosen_cells_and_those_again_whose_results_it_deletes(grid, capsys):
    train(grid, "dss seed=0")
    study = Study.open(grid.grid, Home(grid.home))
    dss, finetuning = study.matching(["dss"]), study.matching(["finetuning"])
    assert driver._unfinished(study, study.cells) == driver._unfinished(study, finetuning) == finetuning
    assert driver._unfinished(study, dss) == []
    assert "--only: 1 of 2 cells, 0 of them to be trained" in capsys.readouterr().out
    assert driver._unfinished(study, study.cells, dss) == study.matching(["*"])
    assert study.home.record(dss[0].cell.id) is not None, "a grid that cannot start keeps its results"
    driver.forget(study, dss)
    assert driver._unfinished(study, dss) == dss
