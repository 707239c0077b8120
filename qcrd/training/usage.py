"""How busy the machine is while a cell trains, under the names that MLflow's page has for it."""

from __future__ import annotations

from contextlib import suppress

import psutil
import torch

_MEGABYTE = 1e6  # as MLflow counts


class Usage:
    """Measures when it is called; takes a fraction of a millisecond, and no thread."""

    def __init__(self, device: torch.device):
        """The first call will tell of the time since now."""
        self._device = device
        psutil.cpu_percent()

    def __call__(self) -> dict[str, float]:
        """CPU (percent of all cores since the last call), memory, and where it trains on one the GPU."""
        memory = psutil.virtual_memory()
        return {
            "system/cpu_utilization_percentage": psutil.cpu_percent(),
            **_memory("system/system_memory", memory.used, memory.total),
            **(self._gpu() if self._device.type == "cuda" else {}),
        }

    def _gpu(self) -> dict[str, float]:
        """Of the one that the cell sees as its own, whoever else shares it."""
        free, total = torch.cuda.mem_get_info(self._device)
        found = _memory("system/gpu_0_memory", total - free, total)
        with suppress(Exception):  # needs NVIDIA's own library, which vLLM brings along
            found["system/gpu_0_utilization_percentage"] = float(torch.cuda.utilization(self._device))
        return found


def _memory(name: str, used: float, total: float) -> dict[str, float]:
    return {f"{name}_usage_megabytes": used / _MEGABYTE, f"{name}_usage_percentage": 100 * used / total}
