"""Writes a grid's results: its table in every format, its figures, and an HTML page with both."""

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
    """The grid's HTML page."""
    cells = [
        CellLine(cell_id, planned.name, state, study.home.record(cell_id))
        for planned, cell_id, state in zip(study.cells, study.ids, study.states(), strict=True)
    ]
    grid = yaml.safe_dump(
        study.grid.model_dump(mode="json", exclude_defaults=True) | {"preset": study.preset},
        sort_keys=False,
        allow_unicode=True,
    )
    created = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return page(table, study.grid.description, grid, cells, list(_samplers(study)), created, examples(study))


def write(study: Study, accuracies: Sequence[TeacherAccuracy] | None = None) -> list[Path]:
    """Write table, figures and page into the grid's folder.

    Args:
        study: the grid.
        accuracies: as for `tables`.

    Returns:
        The files, with the page last.
    """
    table = tables(study, accuracies)
    files = [
        _write(study.folder / f"table.{'tex' if name == 'latex' else name}", render(table, name).encode())
        for name in FORMATS
    ]
    files += figures(table, study.folder / "figures", PICTURES)
    return [*files, _write(study.folder / REPORT, html(study, table).encode())]


def figures(table: Table, folder: Path, formats: Sequence[Format]) -> list[Path]:
    """Write a figure per section with results; returns the files."""
    return [
        _write(folder / f"{figure.name}.{name}", file_bytes(figure.figure, name))
        for figure in draw(table)
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


def _write(path: Path, content: bytes) -> Path:
    with atomic(path) as temporary:
        temporary.write_bytes(content)
    return path
