"""Checkpoints that are whole, and those that are not."""

import pytest

from qcrd.doctor import models
from qcrd.doctor.machine import GIB


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
    found, bytes_ = models.model("student", checkpoint(tmp_path / "m", *names), None)
    assert (found.state, bytes_) == (state, size) and words in found.found


def test_a_name_that_nobody_has_is_an_error_and_not_raised(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    for name in ("nobody/nothing", "/no/such/folder", "a b c"):
        found, size = models.model("teacher", name, None)
        assert found.state == "error" and size == 0 and "hf download" in found.remedy


def test_an_engine_that_does_not_fit_is_an_error():
    assert models.fit("room", 14 * GIB, 20 * GIB, "GPU memory").state == "ok"
    found = models.fit("room", 40 * GIB, 20 * GIB, "GPU memory")
    assert found.state == "error" and "does not fit: weights of 40.0 GiB" in found.found
