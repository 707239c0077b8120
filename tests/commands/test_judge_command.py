"""`qcrd judge` as it is typed, with recorded judgements."""

import json

import pytest
import yaml
from small_cells import fill, make_cell
from typer.testing import CliRunner

from qcrd.cell.run import run_cell
from qcrd.cli import app
from qcrd.judging.cells import Explainer
from qcrd.judging.prompt import template
from qcrd.judging.ranking import compare, rank
from qcrd.storage.home import Home
from qcrd.types import Sample

QUESTIONS = 6


class Recorder:
    """Says that the first is better, and writes down what it said in a recorded teacher's form."""

    def __init__(self, path):
        self.path = path

    def __call__(self, requests):
        with self.path.open("w") as file:
            for request in requests:
                file.write(json.dumps({"id": request.question_id, "samples": ["Better: 1"]}) + "\n")
        yield [Sample(r.prompt_id, r.question_id, r.index, "Better: 1", "stop", 3) for r in requests]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A home with a DSS and a QCRD cell, the grid that they are of, and a judge's file."""
    home = Home(tmp_path_factory.mktemp("home"))
    cells = {method: make_cell(home, method) for method in ("dss", "qcrd")}
    fill(home, cells["qcrd"])
    ids = [run_cell(cell, f"{method} seed=0", home).id for method, cell in cells.items()]
    base = cells["dss"].settings.model_dump(mode="json", exclude={"method", "seed"})
    grid = {"name": "two", "preset": "embedded", "base": base, "product": {"method": list(cells)}}
    (home.root / "two.yaml").write_text(yaml.safe_dump(grid))
    answers = home.root / "judgements.jsonl"
    judge = {"teacher": {"engine": "recorded", "path": str(answers)}}
    (home.root / "judge.yaml").write_text(yaml.safe_dump(judge))
    sides = [Explainer.find(home, cell_id) for cell_id in ids]
    elsewhere = Home(home.root / "elsewhere")
    recorder = Recorder(answers)
    teacher = make_cell(home).settings.teacher  # only names a store: that of `elsewhere` is empty
    comparisons = compare(*sides, (0.0, 0.7), QUESTIONS, 0)
    rank(comparisons, teacher, template(), elsewhere, lambda _: recorder, lambda *_: None)
    return home, ids


def typed(place, *arguments):
    home, _ = place
    result = CliRunner().invoke(
        app,
        ["judge", *arguments, "--teacher", str(home.root / "judge.yaml"), "--questions", str(QUESTIONS)],
        env={"QCRD_HOME": str(home.root)},
        catch_exceptions=False,
    )
    assert result.exit_code == 0, result.output
    return result


def test_two_cells_by_the_beginnings_of_their_ids(place):
    _, ids = place
    result = typed(place, ids[0][:10], ids[1][:10], "--json")
    found = json.loads(result.stdout)
    assert [c["tau"] for c in found["comparisons"]] == [0.0, 0.7]
    for comparison in found["comparisons"]:
        assert [comparison["cells"][side]["id"] for side in "ab"] == ids
        tally = comparison["tally"]
        assert (tally["a"], tally["both"], tally["b"], tally["unread"]) == (0, QUESTIONS, 0, 0)
        assert len(comparison["judged"]) == QUESTIONS
        assert tally["identical"] < QUESTIONS and tally["shown_first"]["share"] == 1.0


def test_two_methods_of_a_grid_with_nothing_left_to_ask(place):
    home, ids = place
    typed(place, *ids)
    result = typed(place, "dss", "qcrd", "--grid", str(home.root / "two.yaml"), "--tau", "0.7")
    assert f"A is dss seed=0 ({ids[0]}), B is qcrd seed=0 ({ids[1]})" in result.stdout
    assert "judge:" not in result.stderr, "all answers are stored"
    assert result.stdout.count("| [1]") == 1
