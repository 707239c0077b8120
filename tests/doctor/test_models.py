"""Checkpoints that are whole, and those that are not."""

import pytest

from qcrd.doctor import models


def checkpoint(folder, *names):
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"12345678")
    return str(folder)


@pytest.mark.parametrize(
    "names, state, size, words",
    [
        (("config.json", "model.safetensors"), "ok", 8, "weights of"),
        (("config.json", "a-1.safetensors", "a-2.safetensors"), "ok", 16, "weights of"),
        (("config.json", "pytorch_model.bin"), "error", 0, "no weights in safetensors"),
        (("model.safetensors",), "error", 0, "no config.json"),
    ],
)
def test_a_checkpoint_needs_its_configuration_and_weights_in_safetensors(tmp_path, names, state, size, words):
    found, files = models.model("student", checkpoint(tmp_path / "m", *names), None)
    assert (found.state, files.stored if files else 0) == (state, size) and words in found.found


def test_a_name_that_nobody_has_is_an_error_and_not_raised(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing", "/no/such/folder", "a b c"):
        found, files = models.model("teacher", name, None)
        assert found.state == "error" and files is None and "hf download" in found.remedy
