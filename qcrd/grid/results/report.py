"""Writes what a grid has come to: its table in every format, its figures, and a page with all of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from qcrd.cell.teacher_accuracy import TeacherAccuracy
from qcrd.grid.plan.study import Study
from qcrd.grid.results.examples import examples
from qcrd.grid.results.rows import tables
from qcrd.report.drawing import FORMATS as PICTURES
from qcrd.report.drawing import Format, file_bytes
from qcrd.report.figures import draw
from qcrd.report.formats import FORMATS, render
from qcrd.report.model import Table
from qcrd.report.page import CellLine, page
from qcrd.storage.files import atomic
from qcrd.tracking.mlflow.page import REPORT


def html(study: Study, table: Table) -> str:
    """The grid's page."""
    cells = [
        CellLine(cell_id, planned.name, state, study.home.record(cell_id))
        for planned, cell_id, state in zip(study.cells, study.ids, study.states(), strict=True)
    ]
    grid = yaml.safe_dump(
        study.grid.model_dump(mode="json", exclude_defaults=True) | {"preset": study.preset},
        sort_keys=False,
        allow_unicode=True,
    )
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return page(table, study.grid.description, grid, cells, list(_samplers(study)), made, examples(study))


def write(study: Study, accuracies: Sequence[TeacherAccuracy] | None = None) -> list[Path]:
    """Write all of it into the grid's folder; returns the files, the page last. Arguments as of `tables`."""
    table = tables(study, accuracies)
    files = [
        _file(study.folder / f"table.{'tex' if name == 'latex' else name}", render(table, name).encode())
        for name in FORMATS
    ]
    files += figures(table, study.folder / "figures", PICTURES)
    return [*files, _file(study.folder / REPORT, html(study, table).encode())]


def figures(table: Table, folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write a figure for each section that has a result."""
    return [
        _file(folder / f"{drawn.name}.{name}", file_bytes(drawn.figure, name))
        for drawn in draw(table)
        for name in formats
    ]


def _samplers(study: Study) -> Iterator[dict[str, Any]]:
    for (need, cell), (_, store, requests, missing) in zip(
        study.sample_needs(), study.samples(), strict=True
    ):
        yield {
            "name": need.teacher.name,
            "task": need.task.name,
            "wanted": len(requests),
            "missing": len(missing),
            "key": store.folder.name,
            "identity": cell.sampler,
        }


def _file(path: Path, content: bytes) -> Path:
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path
