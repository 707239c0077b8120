"""Compares the metrics on an MLflow server with a grid's journals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qcrd.storage import journal
from qcrd.storage.journal import Metrics
from qcrd.tracking.mlflow.client import all_runs, open_client
from qcrd.tracking.mlflow.source import Source

Figures = Counter[tuple[str, int, str]]
"""Number of occurrences of each (metric name, step, value)."""

MEASURED = ("time/", "memory/", "system/")
"""Prefixes of metrics that depend on the machine. A restarted cell measures them again while the server keeps
the values of the first attempt, so only their name and step are compared."""


def differences(uri: str, experiment: str, cells: Sequence[Source]) -> list[str]:
    """Compare each cell's journal with its run; returns one line per difference.

    Args:
        uri: tracking URI.
        experiment: name of the experiment.
        cells: cells to compare.
    """
    client = open_client(uri)
    existing = client.get_experiment_by_name(experiment)
    if existing is None:
        return [f"no experiment {experiment}"]
    runs = list(all_runs(client, existing.experiment_id))
    wrong = []
    for cell in cells:
        own = [run for run in runs if run.data.tags.get("qcrd.cell") == cell.id]
        if len(own) != 1:
            wrong.append(f"{cell.name}: {len(own)} runs")
            continue
        shown = Counter(
            _figure(name, metric.step, metric.value)
            for name in own[0].data.metrics
            for metric in client.get_metric_history(own[0].info.run_id, name)
        )
        logged = _logged(cell)
        for difference, rest in (("lacks", logged - shown), ("additionally has", shown - logged)):
            if rest:
                name, step, *_ = next(iter(rest))
                wrong.append(
                    f"{cell.name}: the server {difference} {rest.total()} metrics, such as {name} at {step}"
                )
    return wrong


def _logged(cell: Source) -> Figures:
    return Counter(
        _figure(name, event.step, value)
        for event in journal.read(cell.folder / journal.FILE)
        if isinstance(event, Metrics)
        for name, value in event.values.items()
    )


def _figure(name: str, step: int, value: float) -> tuple[str, int, str]:
    return name, step, "" if name.startswith(MEASURED) else repr(value)
