"""A saved view of MLflow's experiment page for a grid: columns, order and charts.

A saved view is an experiment tag that MLflow's UI reads (`mlflow.sharedViewState.<id>`, as of MLflow 3.17).
It appears in the page's list of views, and a URL can select it.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

TAG = "mlflow.sharedViewState."
TEST, VALIDATION = "final/test", "final/validation"
SETTING = "qcrd.setting"  # tag with a cell's name without its seed, for grouping
_SECTION = "qcrd"


def saved_view(name: str, grid_id: str, varied: Sequence[str], now: int) -> str:
    """The value of the view's tag: accuracy against each varied setting, sorted by descending accuracy.

    Each run is one point. Runs are not grouped over seeds, because the UI does not plot non-numeric settings
    of groups.

    Args:
        name: display name of the view.
        grid_id: the grid whose runs are shown.
        varied: names of the parameters that the grid varies.
        now: milliseconds since the epoch.
    """
    state = {
        "searchFilter": f"tags.`qcrd.grid_id` = '{grid_id}'",
        "orderByKey": f"metrics.`{TEST}`",
        "orderByAsc": False,
        "selectedColumns": [
            *(f"metrics.`{metric}`" for metric in (TEST, VALIDATION)),
            *(f"params.`{name}`" for name in varied),
            "attributes.`Models`",
        ],
        "runsHiddenMode": "SHOW_ALL",
        "compareRunCharts": [_card(number, **chart) for number, chart in enumerate(_charts(varied))],
        "compareRunSections": [
            {"uuid": _SECTION, "name": "Accuracy", "display": True, "isReordered": True, "deleted": False}
        ],
        "isAccordionReordered": True,  # else the sections are sorted by name
    }
    packed = base64.b64encode(zlib.compress(json.dumps(state, separators=(",", ":")).encode())).decode()
    return json.dumps({"name": name, "createdAt": now, "updatedAt": now, "state": f"deflate;{packed}"})


def _charts(varied: Sequence[str]) -> Iterator[dict[str, Any]]:
    for name in varied:
        yield {
            "type": "SCATTER",
            "xaxis": {"key": name, "type": "PARAM"},
            "yaxis": {"key": TEST, "type": "METRIC"},
        }
    yield {"type": "BAR", "metricKey": TEST}
    if len(varied) > 1:
        yield {
            "type": "PARALLEL",
            "selectedParams": list(varied),
            "selectedMetrics": [TEST],
            "showAllRuns": True,
        }
    for split in ("validation", "test"):
        key = f"accuracy/{split}"
        yield {
            "type": "LINE",
            "metricKey": key,
            "selectedMetricKeys": [key],
            "xAxisKey": "step",
            "lineSmoothness": 0,
            "useGlobalLineSmoothing": False,
        }


def _card(number: int, **chart: Any) -> dict[str, Any]:
    return {
        "uuid": f"{_SECTION}-{number}",
        "metricSectionId": _SECTION,
        "runsCountToCompare": 200,
        "deleted": False,
        "isGenerated": False,
        **chart,
    }
