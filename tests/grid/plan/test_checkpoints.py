"""Models without safe weights, said before anything starts."""

import pytest

from qcrd.config import Cell, merged
from qcrd.config.presets import EMBEDDED, PAPER
from qcrd.grid.plan.checkpoints import UsedModel, loading_error, used_models


def folder(path, *names):
    path.mkdir()
    for name in names:
        (path / name).write_bytes(b"12345678")
    return str(path)


@pytest.fixture(autouse=True)
def offline(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


def test_a_folder_is_always_checked(tmp_path):
    safe = folder(tmp_path / "safe", "config.json", "model.safetensors")
    pickled = folder(tmp_path / "pickled", "config.json", "pytorch_model.bin")
    assert loading_error(UsedModel("student", safe, None)) == ""
    assert loading_error(UsedModel("student", pickled, None)).startswith("no weights in safetensors")


def test_what_nobody_can_be_asked_about_is_not_checked_and_not_called_well():
    for place in ("google/t5-v1_1-base", "/no/such/folder"):
        assert loading_error(UsedModel("student", place, "refs/pr/1"))
    assert loading_error(UsedModel("student", "/no/such/folder", None)) == "there is no such folder"
    assert loading_error(UsedModel("student", "google/t5-v1_1-base", "refs/pr/1")).startswith("not checked")


def test_a_model_of_the_cache_without_safe_weights_is_found_there(tmp_path, monkeypatch):
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = tmp_path / "models--someone--t5" / "snapshots" / commit
    snapshot.parent.mkdir(parents=True)
    folder(snapshot, "config.json", "model.safetensors")
    (tmp_path / "models--someone--t5" / "refs").mkdir()
    (tmp_path / "models--someone--t5" / "refs" / "main").write_text(commit)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    assert loading_error(UsedModel("student", "someone/t5", None)) == ""


def test_each_model_that_cells_load_is_named_once_with_its_revision():
    paper = Cell.model_validate(PAPER)
    small = Cell.model_validate(merged(PAPER, {"student": {"checkpoint": "google/t5-v1_1-small"}}))
    assert [str(each) for each in used_models([paper, small, paper])] == [
        "student google/t5-v1_1-base (revision refs/pr/1)",
        "teacher Qwen/Qwen2.5-7B-Instruct (revision a09a35458c702b33eeacc393d103063234e8bc28)",
        "student google/t5-v1_1-small (revision refs/pr/1)",
    ]
    gold = Cell.model_validate(merged(PAPER, {"method": "finetuning"}))
    assert [each.role for each in used_models([gold])] == ["student"], "it has no teacher and no judge"
    assert [each.role for each in used_models([paper], teachers=False)] == ["student"]
    assert used_models([Cell.model_validate(EMBEDDED)]) == []
