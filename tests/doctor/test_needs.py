"""What a grid needs, found or missing before anything starts."""

import json

import pytest
import yaml

from qcrd.doctor.needs import needs
from qcrd.grid.cluster.shares import Node
from qcrd.storage.home import Home

TASK = {"name": "arithmetic", "train": 4, "validation": 2, "test": 2}


@pytest.fixture
def asked(tmp_path):
    """Checks of a grid with these settings of its cells, by name."""

    def ask(base, cpus=2, gpus=0, preset="embedded", **rest):
        grid = tmp_path / "grid.yaml"
        grid.write_text(yaml.safe_dump({"name": "small", "preset": preset, "base": base, **rest}))
        return {check.name: check for check in needs(grid, Home(tmp_path / "home"), None, [Node(cpus, gpus)])}

    return ask


def states(found):
    return {name: check.state for name, check in found.items()}


def test_a_grid_that_has_all_is_well(asked):
    found = asked({"task": TASK})
    assert states(found) == dict.fromkeys(
        ["grid", "resources", "data: arithmetic", "labels: arithmetic", "teacher: embedded"], "ok"
    )
    assert found["data: arithmetic"].found.startswith("4/2/2 questions")
    assert "30 of 30 answers" in found["teacher: embedded"].found


def test_a_grid_that_cannot_be_read_says_so_and_nothing_else(asked):
    found = asked({"task": TASK, "trainning": {}})
    assert states(found) == {"grid": "error"} and "trainning" in found["grid"].found


def test_more_than_the_cluster_has_is_an_error(asked):
    found = asked({"task": TASK}, resources={"cell_gpus": 1})
    assert found["resources"].state == "error" and "resources.cell_gpus" in found["resources"].found


def test_recorded_answers_of_other_questions_are_an_error(asked, tmp_path):
    answers = tmp_path / "answers.jsonl"
    answers.write_text(json.dumps({"id": "other-1", "samples": ["a"]}))
    base = {"task": TASK, "teacher": {"engine": "recorded", "path": str(answers)}}
    found = asked(base)[f"teacher: {answers}"]
    assert found.state == "error" and "has no answers to these questions" in found.found


def test_a_server_that_is_not_there_is_an_error(asked):
    teacher = {"engine": "openai", "model": "m", "base_url": "http://127.0.0.1:9/v1"}
    found = asked({"task": TASK, "teacher": teacher})["teacher: m"]
    assert found.state == "error" and "base_url" in found.remedy


def test_models_and_data_that_are_not_there_are_errors_each(asked, tmp_path):
    base = {
        "task": {"name": "svamp", "source": str(tmp_path / "absent.zip")},
        "student": {"tokenizer": str(tmp_path / "tokens"), "checkpoint": str(tmp_path)},
        "teacher": {"engine": "recorded", "path": str(tmp_path / "grid.yaml")},
        "discriminator": {"checkpoint": str(tmp_path)},
    }
    found = asked(base, preset="paper")
    assert states(found) == {
        "grid": "ok",
        "resources": "warning",  # T5 without a GPU
        "data: svamp": "error",
        "student": "error",
        "tokenizer": "error",
    }
