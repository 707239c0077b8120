"""The number of GPUs is torch's, found without torch."""

import torch
from pytest import MonkeyPatch, mark

from qcrd.grid.plan import gpus


def test_it_is_torchs_number():
    assert gpus.gpu_count() == torch.cuda.device_count()


@mark.parametrize(
    "visible, count",
    [
        (None, 8),
        ("", 0),
        ("-1", 0),
        ("0", 1),
        ("2, 5", 2),
        ("0,8,1", 1),
        ("1,1", 0),
        ("0,-1,0", 1),
        ("7,6,5", 3),
    ],
)
def test_visible_devices_are_counted_as_torch_counts_them(monkeypatch: MonkeyPatch, visible, count):
    if visible is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    monkeypatch.setattr(gpus, "_torch_build", lambda: "cuda")
    monkeypatch.setattr(gpus, "_nvml_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "_raw_device_count_nvml", lambda: 8)
    assert gpus.gpu_count() == count == torch.cuda._device_count_nvml()


def test_uuids_are_left_to_torch(monkeypatch: MonkeyPatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1f,GPU-2f")
    monkeypatch.setattr(gpus, "_torch_build", lambda: "cuda")
    monkeypatch.setattr(gpus, "_nvml_count", lambda: 8)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert gpus.gpu_count() == 2


def test_a_cuda_build_without_a_driver_has_none(monkeypatch: MonkeyPatch):
    monkeypatch.setattr(gpus, "_torch_build", lambda: "cuda")
    monkeypatch.setattr(gpus, "_library", lambda library: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1 / 0)
    assert gpus.gpu_count() == 0
