"""Tables of results and of teachers' answers, for pandas and datasets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qcrd.api.cell import GridCell
from qcrd.config import Cell, Section
from qcrd.config.presets import PRESETS, Preset
from qcrd.errors import DataError
from qcrd.grid.plan.factors import get_setting, setting_paths, short_name
from qcrd.grid.plan.study import Study, last_status

if TYPE_CHECKING:
    import datasets
    import pandas as pd

ACCURACIES = ("test", "validation", "test_last", "test_best", "test_votes")
COSTS = ("teacher_tokens", "student_tflop")
FIXED = frozenset({"name", "id", "state", "chosen_step", "seconds", "message"})
"""Columns that are no settings, among them none that begins with `accuracy_` or `cost_`."""
_ALWAYS = ("method", "task.name", "seed")


def results(cells: Sequence[GridCell], preset: Preset) -> pd.DataFrame:
    """One row a cell; the columns are those of `Grid.results`.

    Raises:
        DamagedResult: if a record is corrupted.
    """
    import pandas as pd

    paths = [*_ALWAYS, *_told(cells, preset)]
    return pd.DataFrame([_row(cell, paths) for cell in cells])


def _told(cells: Sequence[GridCell], preset: Preset) -> list[str]:
    """Settings in which a cell differs from another one, or from the preset."""
    own = Cell.model_validate(PRESETS[preset])
    return [
        path
        for path in setting_paths()
        if path not in _ALWAYS and any(get_setting(c.settings, path) != get_setting(own, path) for c in cells)
    ]


def _row(cell: GridCell, paths: Sequence[str]) -> dict[str, Any]:
    record, state = cell.record, cell.state
    row: dict[str, Any] = {"name": cell.name, "id": cell.id, "state": state}
    for path in paths:  # task.own.id is not the cell's id
        row[path if short_name(path) in FIXED else short_name(path)] = _plain(
            get_setting(cell.settings, path)
        )
    accuracy, statistics = (record.accuracy, record.statistics) if record else ({}, {})
    row |= {f"accuracy_{name}": accuracy.get(name) for name in ACCURACIES}
    row |= {
        "chosen_step": record.chosen_step if record else None,
        "seconds": record.seconds if record else None,
    }
    row |= {f"cost_{name}": statistics.get(f"cost/{name}") for name in COSTS}
    message = record.message if record else ""
    if state == "failed":
        message = last_status(cell.study.home, cell.id)[1]
    return {**row, "message": message}


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Section) else value


def samples(study: Study, split: str) -> datasets.Dataset:
    """The stored answers of a grid's teachers to one split; the columns are those of `Grid.samples`.

    Raises:
        DataError: if none is drawn yet.
    """
    import datasets
    import pyarrow as pa

    from qcrd.export.samples import rows
    from qcrd.export.tables import schema

    missing: Counter[str] = Counter()
    found = [
        row for need, cell in study.sample_needs() for row in rows(cell, study.home, need.m, [split], missing)
    ]
    if not found:
        raise DataError(
            f"{study.grid.name}: the store lacks all {missing.total()} answers to the {split} questions; run "
            f"the grid, or `qcrd sample GRID --split {split}`"
        )
    return datasets.Dataset(pa.Table.from_pylist(found, schema(found, "samples")))
