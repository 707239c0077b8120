"""What the machine's load is called."""

import torch
from mlflow.system_metrics.metrics.cpu_monitor import CPUMonitor

from qcrd.training.usage import Usage


def test_load_has_the_names_that_mlflow_gives_it():
    usage = Usage(torch.device("cpu"))
    monitor = CPUMonitor()
    monitor.collect_metrics()
    assert set(usage()) == {f"system/{name}" for name in monitor.aggregate_metrics()}


def test_percentages_are_percentages_and_some_memory_is_used():
    found = Usage(torch.device("cpu"))()
    assert all(0 <= value <= 100 for name, value in found.items() if name.endswith("percentage"))
    assert found["system/system_memory_usage_megabytes"] > 10
