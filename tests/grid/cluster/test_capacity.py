"""An engine whose weights cannot fit is refused before anything starts, and no other is."""

import pytest
import torch
from safetensors.torch import save_file

from qcrd.config import Resources, Teacher
from qcrd.errors import QcrdError
from qcrd.grid.cluster import capacity
from qcrd.grid.cluster.shares import Node
from qcrd.hub.model_files import Files, find, loaded_bytes

HERE = [Node(2, 0)]
GPUS = [Node(8, 2)]


@pytest.fixture
def model(tmp_path):
    """A folder with a million weights of two bytes and a thousand packed ones."""
    tensors = {"a": torch.zeros(1000, 1000, dtype=torch.bfloat16), "b": torch.zeros(1000, dtype=torch.int8)}
    save_file(tensors, tmp_path / "model.safetensors")
    return str(tmp_path)


def teacher(model, **settings):
    return Teacher(engine="vllm", model=model, **settings)


@pytest.mark.parametrize(
    "settings, on_gpu, size",
    [
        ({}, False, 4_001_000),  # float32 on CPU, twice what is stored
        ({}, True, 2_001_000),
        ({"dtype": "float32"}, True, 4_001_000),
        ({"dtype": "bfloat16"}, False, 2_001_000),
        ({"quantization": "gptq"}, True, 2_001_000),  # the files are already
    ],
)
def test_weights_count_as_they_are_loaded(model, settings, on_gpu, size):
    assert loaded_bytes(find(model, None), teacher(model, **settings), on_gpu) == size


def test_what_is_made_smaller_while_it_is_loaded_is_not_judged():
    files = Files("(on the Hub)", {"model.safetensors": 10**12}, {"BF16": 5 * 10**11})
    assert loaded_bytes(files, teacher("big", quantization="fp8"), True) == 0
    assert loaded_bytes(Files("", files.bytes, {}), teacher("big"), True) == 10**12


def test_what_does_not_fit_is_refused_with_figures_and_what_to_do(model, monkeypatch):
    monkeypatch.setattr("qcrd.grid.cluster.capacity.available", lambda: (4_000_000, 10**9))
    with pytest.raises(QcrdError, match=r"does not fit: .* of free memory; set a smaller teacher\.model"):
        capacity.check_capacity(teacher(model), Resources(), HERE)
    capacity.check_capacity(teacher(model, dtype="bfloat16"), Resources(), HERE)
    monkeypatch.setattr(capacity, "gpu_bytes", lambda: 2_000_000)
    with pytest.raises(QcrdError, match=r"GPU memory \(1 x 0.85 of one\)"):
        capacity.check_capacity(teacher(model), Resources(), GPUS)
    capacity.check_capacity(teacher(model), Resources(teacher_gpus=2), GPUS)


def test_what_cannot_be_known_passes(model, monkeypatch):
    monkeypatch.setattr("qcrd.grid.cluster.capacity.available", lambda: (1, 1))
    capacity.check_capacity(teacher("nobody/nothing-" + "x" * 200), Resources(), HERE)
    capacity.check_capacity(teacher(model), Resources(), HERE * 2)  # other nodes' memory
    capacity.check_capacity(Teacher(), Resources(), HERE)  # the embedded one
    monkeypatch.setattr(capacity, "gpu_bytes", lambda: None)
    capacity.check_capacity(teacher(model), Resources(), GPUS)
