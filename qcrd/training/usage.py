"""Utilisation of the machine while a cell trains, under the names of MLflow's system metrics."""

from __future__ import annotations

from contextlib import suppress

import psutil
import torch

_MEGABYTE = 1e6  # MLflow's definition


class Usage:
    """Measures utilisation when called, without a thread; a call takes less than a millisecond."""

    def __init__(self, device: torch.device):
        """Start the interval that the first call reports on."""
        self._device = device
        psutil.cpu_percent()

    def __call__(self) -> dict[str, float]:
        """CPU utilisation (percent of all cores since the last call), memory, and the GPU if it is used."""
        memory = psutil.virtual_memory()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            **_memory("system/system_memory", memory.used, memory.total),
            **(self._gpu() if self._device.type == "cuda" else {}),
        }

    def _gpu(self) -> dict[str, float]:
        """Metrics of the cell's GPU, including what other processes use of it."""
        free, total = torch.cuda.mem_get_info(self._device)
        metrics = _memory("system/gpu_0_memory", total - free, total)
        with suppress(Exception):  # needs nvidia-ml-py, which vLLM depends on
            metrics["system/gpu_0_utilization_percentage"] = float(torch.cuda.utilization(self._device))
        return metrics


def _memory(name: str, used: float, total: float) -> dict[str, float]:
    return {f"{name}_usage_megabytes": used / _MEGABYTE, f"{name}_usage_percentage": 100 * used / total}
