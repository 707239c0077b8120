"""Weights of a pretrained discriminator that cannot be read."""

import pytest
from small_cells import make_cell

from qcrd.cell import discriminator
from qcrd.storage.home import Home
from qcrd.storage.tensors import DamagedTensors


def test_weights_that_stay_damaged_without_a_bucket_are_said_to_be(tmp_path, monkeypatch):
    home, path = Home(tmp_path), tmp_path / "judge.safetensors"

    def damaged(*_):
        path.write_bytes(b"torn")
        return path

    monkeypatch.setattr(discriminator, "ensure_discriminator", damaged)
    assert home.bucket is None
    with pytest.raises(DamagedTensors, match="judge"):
        discriminator.pretrained_discriminator(make_cell(home), home, None)
