"""`qcrd why` as it is typed."""

import json

import pytest
import yaml
from small_cells import fill, make_cell
from typer.testing import CliRunner

from qcrd.cell.run import run_cell
from qcrd.cli import app
from qcrd.errors import QcrdError
from qcrd.storage.home import Home


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home with a finished QCRD cell, and the grid of two seeds that it is of."""
    home = Home(tmp_path_factory.mktemp("home"))
    cell = make_cell(home)
    fill(home, cell)
    record = run_cell(cell, "qcrd seed=0", home)
    base = cell.settings.model_dump(mode="json", exclude={"seed"})
    grid = {"name": "mine", "preset": "embedded", "base": base, "seeds": 2}
    (home.root / "mine.yaml").write_text(yaml.safe_dump(grid))
    return home, record


def typed(place, *arguments):
    result = CliRunner().invoke(
        app, ["why", *arguments], env={"QCRD_HOME": str(place[0].root)}, catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_cell_says_its_figures_settings_and_files(place):
    _, record = place
    text = typed(place, record.id[:6])
    assert text.startswith(f"cell {record.id}: qcrd seed=0 (done)")
    assert f"test         {record.accuracy['test']:.1f}%" in text
    assert "scheme minmax, beta 0.2" in text
    assert str(place[0].cell(record.id) / "predictions.json") in text


def test_a_cell_is_named_as_in_its_grid(place):
    home, record = place
    grid = str(home.root / "mine.yaml")
    by_name = typed(place, "qcrd seed=0", "--grid", grid)
    assert by_name == typed(place, record.id) == typed(place, record.id[:6], "--grid", grid)
    with pytest.raises(QcrdError, match=r"'qcrd' is 2 cells; allowed: one of 'qcrd seed=0', 'qcrd seed=1'"):
        typed(place, "qcrd", "--grid", grid)
    with pytest.raises(QcrdError, match="did you mean 'qcrd seed="):
        typed(place, "qcrd seed=O", "--grid", grid)
    with pytest.raises(QcrdError, match="is not finished; `qcrd run`"):
        typed(place, "qcrd seed=1", "--grid", grid)


def test_a_training_question_goes_back_to_the_prompt(place):
    text = typed(place, place[1].id, "--question", "1", "--split", "train")
    for part in ("candidates for training", "positive (answer", "the vote", "answer 0:", "prompt "):
        assert part in text
    assert text.index("the vote") < text.index("answer 0:") < text.index("prompt ")


def test_json_has_all_of_it(place):
    found = json.loads(typed(place, place[1].id, "--question", "arithmetic-train-1", "--json"))
    assert found["cell"]["id"] == place[1].id
    assert found["cell"]["accuracy"] == place[1].accuracy
    assert found["question"]["split"] == "train"
    assert {"text", "positive", "draws", "loss", "quality", "difficulty", "out", "share"} == set(
        found["question"]["training"]["candidates"][0]
    )
    assert found["question"]["answers"]["draws"][0]["shard"].endswith(".parquet")
    assert json.loads(typed(place, place[1].id, "--json"))["question"] is None
