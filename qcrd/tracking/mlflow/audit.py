"""Whether an MLflow server has exactly what a grid's journals say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from qcrd.storage import journal
from qcrd.storage.journal import Metrics
from qcrd.tracking.mlflow.client import all_runs, open_client
from qcrd.tracking.mlflow.source import Source

Figures = Counter[tuple[str, int, str]]
"""How often there is a figure: its name, step and value."""

MEASURED = ("time/", "memory/", "system/")
"""Groups of figures that follow from the machine and not from the step. A cell that was killed measures them
again, and the server keeps the first attempt's: of these, name and step are compared alone."""


def differences(uri: str, experiment: str, cells: Sequence[Source]) -> list[str]:
    """Where server and journals disagree, a line each: runs, and figures one by one.

    Args:
        uri: tracking URI.
        experiment: name of the experiment.
        cells: whose journals are compared with their runs.
    """
    client = open_client(uri)
    found = client.get_experiment_by_name(experiment)
    if found is None:
        return [f"no experiment {experiment}"]
    runs = list(all_runs(client, found.experiment_id))
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
        told = _told(cell)
        for kind, rest in (("lacks", told - shown), ("has besides", shown - told)):
            if rest:
                name, step, *_ = next(iter(rest))
                wrong.append(
                    f"{cell.name}: the server {kind} {rest.total()} figures, such as {name} at {step}"
                )
    return wrong


def _told(cell: Source) -> Figures:
    return Counter(
        _figure(name, event.step, value)
        for event in journal.read(cell.folder / journal.FILE)
        if isinstance(event, Metrics)
        for name, value in event.values.items()
    )


def _figure(name: str, step: int, value: float) -> tuple[str, int, str]:
    return name, step, "" if name.startswith(MEASURED) else repr(value)
