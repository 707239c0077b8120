"""Labels that no student of a grid can write: said by plan and doctor, refused by a run where too many."""

import json

import pytest
import yaml

from qcrd.config import Cell
from qcrd.doctor.needs import needs
from qcrd.errors import ConfigError
from qcrd.grid.cluster.shares import Node
from qcrd.grid.plan import labels
from qcrd.grid.plan.overview import plan_object, plan_text
from qcrd.grid.plan.study import Study
from qcrd.grid.run import driver
from qcrd.hub.word_tokenizer import word_level_tokenizer
from qcrd.storage.home import Home

GOLD = ["a cup", "tea"] * 9 + ["x < 5", "x < 5"]


@pytest.fixture
def grid(tmp_path):
    """A grid of finetuning on twenty questions, of which a tenth has a label that the tokenizer loses."""
    rows = [{"question": f"{i}?", "label": label} for i, label in enumerate(GOLD)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)))
    word_level_tokenizer(["a", "cup", "tea", "x", "5"], append_eos=True).save_pretrained(tmp_path / "words")

    def write(**student):
        base = {
            "task": {"name": "own", "source": str(tmp_path / "a.jsonl"), "train": None, "validation": None,
                     "test": None},
            "student": {"tokenizer": str(tmp_path / "words"), **student},
            "rationales": {"labels": "gold"},
            "method": "finetuning",
        }  # fmt: skip
        path = tmp_path / "grid.yaml"
        settings = {"name": "words", "preset": "embedded", "seeds": 3, "base": base}
        path.write_text(yaml.safe_dump(settings))
        return path

    return write


def planned(path, tmp_path):
    return Study.open(path, Home(tmp_path / "home"))


def test_a_run_refuses_more_than_the_share_and_says_the_number(grid, tmp_path):
    cells = [each.cell.settings for each in planned(grid(), tmp_path).cells]
    said = []
    with pytest.raises(ConfigError) as refused:
        labels.refuse_unwritable(cells, said.append)
    for part in ("task own: the labels of 2 of 20 questions (10.0%) cannot be written with the tokenizer of",
                 "'x < 5' of own-train-18 comes back as 'x 5'", "student.checkpoint (or student.tokenizer)",
                 "student.unwritable, which is 0.05"):  # fmt: skip
        assert part in str(refused.value)
    assert not said


def test_the_driver_looks_before_it_draws_or_trains(grid, tmp_path, monkeypatch):
    study = planned(grid(), tmp_path)
    monkeypatch.setattr("qcrd.grid.run.driver.draw_missing", lambda *_, **__: pytest.fail("it began"))
    with pytest.raises(ConfigError, match="2 of 20 questions"):
        driver._check_and_sample(study, None, (), study.cells)


def test_a_bearable_share_is_said_once_for_all_cells(grid, tmp_path):
    cells = [each.cell.settings for each in planned(grid(unwritable=0.1), tmp_path).cells]
    said = []
    labels.refuse_unwritable(cells, said.append)
    assert len(cells) == 3 and len(said) == 1 and "2 of 20 questions (10.0%)" in said[0]


def test_what_the_limit_cuts_is_said_with_the_limit_to_set(grid, tmp_path):
    cells = [each.cell.settings for each in planned(grid(max_label=2), tmp_path).cells]
    with pytest.raises(
        ConfigError, match=r"11 of 20 .* the labels of 11 questions are cut at 2 tokens .*: 4\)"
    ):
        labels.refuse_unwritable(cells, print)


def test_the_plan_says_it_to_programs_and_people(grid, tmp_path):
    plan = plan_object(planned(grid(), tmp_path))
    (found,) = json.loads(json.dumps(plan))["labels"]
    assert (found["questions"], found["unwritable"], found["cut"], found["refused"]) == (20, 2, 0, True)
    assert "labels of own: the labels of 2 of 20 questions" in plan_text(plan)
    assert "`qcrd run` refuses that" in plan_text(plan)
    bearable = plan_object(planned(grid(unwritable=1), tmp_path))
    assert [each["refused"] for each in bearable["labels"]] == [False]


def test_the_doctor_says_it(grid, tmp_path):
    for student, state in (({}, "error"), ({"unwritable": 0.5}, "warning")):
        found = {c.name: c for c in needs(grid(**student), Home(tmp_path / "home"), None, [Node(2, 0)])}
        check = found["labels: own"]
        assert check.state == state and "2 of 20" in check.found and "mt5-small" in check.remedy


def test_a_tokenizer_that_is_elsewhere_is_not_fetched_for_a_plan(monkeypatch):
    monkeypatch.setattr(labels, "load_tokenizer", lambda *_: pytest.fail("it was fetched"))
    cell = Cell.model_validate({"student": {"checkpoint": "nobody/has-this-one"}})
    assert list(labels.label_checks([cell], fetch=False)) == []
