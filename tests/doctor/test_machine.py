"""What the machine offers."""

import pytest

from qcrd.doctor import machine
from qcrd.doctor.check import Check


@pytest.mark.parametrize(
    "soft, hard, state",
    [
        (128, 128, "error"),
        (256, 256, "warning"),
        (1024, 2048, "warning"),
        (256, 65536, "ok"),  # Ray raises its own
        (4096, 4096, "ok"),
        (1024, -1, "ok"),
        (-1, -1, "ok"),
    ],
)
def test_few_open_files_are_said_with_the_command_that_raises_them(soft, hard, state):
    found = machine.open_file_limits(soft, hard)
    assert found.state == state
    assert ("ulimit -n" in found.remedy) == (state != "ok")


def test_a_containers_limit_counts_and_not_the_machines_memory(tmp_path):
    everything = machine.available(tmp_path)
    (tmp_path / "memory.max").write_text("2000000\n")
    (tmp_path / "memory.current").write_text("1500000\n")
    assert machine.available(tmp_path) == (500_000, 2_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert machine.available(tmp_path)[1] == everything[1]


@pytest.mark.parametrize("free, state", [(1, "error"), (4, "warning"), (16, "ok")])
def test_memory_is_judged_by_what_is_free(monkeypatch, free, state):
    monkeypatch.setattr(machine, "available", lambda: (free * machine.GIB, 64 * machine.GIB))
    assert next(iter(machine.memory())).state == state


def test_a_gpu_that_torch_cannot_use_is_an_error(monkeypatch):
    monkeypatch.setattr(machine, "_driver", lambda: ["Big GPU with driver 550.1"])
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (found,) = machine.gpus()
    assert found.state == "error" and "Big GPU with driver 550.1" in found.found
    monkeypatch.setattr(machine, "_driver", lambda: [])
    assert [check.state for check in machine.gpus()] == ["ok"]


def test_a_gpu_that_others_fill_is_a_warning_and_a_broken_one_an_error(monkeypatch):
    class Cuda:
        is_available = staticmethod(lambda: True)
        device_count = staticmethod(lambda: 2)
        get_device_name = staticmethod(lambda i: f"GPU {i}")
        mem_get_info = staticmethod(lambda i: (machine.GIB, 80 * machine.GIB))

    def zeros(n, device):
        if device == "cuda:0":
            raise RuntimeError("the driver is too old\nmore")
        return real(n)

    import torch

    real = torch.zeros
    monkeypatch.setattr(torch, "cuda", Cuda)
    monkeypatch.setattr(torch, "zeros", zeros)
    broken, full = machine.gpus()
    assert (broken.state, full.state) == ("error", "warning")
    assert "the driver is too old" in broken.found and "1 of 80 GiB free" in full.found
    assert isinstance(full, Check)
