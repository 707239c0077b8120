"""One self-contained HTML page per grid: tables, figures, and the provenance of each result."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qcrd.report.columns import header, rows
from qcrd.report.drawing import file_bytes
from qcrd.report.figures import SectionFigure, draw
from qcrd.report.model import Table
from qcrd.report.teachers import HEADER, texts
from qcrd.types import CellRecord

_TEMPLATES = Environment(
    loader=PackageLoader("qcrd.report", "."),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@dataclass(frozen=True, slots=True)
class CellLine:
    """A cell in the page's list of cells."""

    id: str
    name: str
    state: str
    record: CellRecord | None  # None if it has not ended


@dataclass(frozen=True, slots=True)
class StudentAnswer:
    """Output of one setting's student for a question."""

    setting: str
    rationale: str  # "" for none
    answer: str  # verbatim
    correct: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A test question with the outputs of several settings' students."""

    question: str
    label: str  # gold
    answers: tuple[StudentAnswer, ...]


def page(
    table: Table,
    description: str,
    grid: str,
    cells: Sequence[CellLine],
    samplers: Sequence[Mapping[str, Any]],
    created: str,
    examples: Sequence[Example] = (),
) -> str:
    """Render the page. It has no scripts and loads nothing from elsewhere.

    Args:
        table: the grid's table.
        description: one line about the grid.
        grid: YAML of the grid as it was run, with the preset merged in.
        cells: all planned cells, in order.
        samplers: one mapping per teacher, with `name`, `task`, `wanted` and `missing` (numbers of samples),
            `key` and `identity`.
        created: date and time, as text.
        examples: outputs of the students.
    """
    records = [cell.record for cell in cells if cell.record]
    sections = []
    all_figures = list(draw(table))
    for group, lines in table.sections():
        figures = [figure for figure in all_figures if figure.group == group]
        sections.append(
            {
                "group": group,
                "header": header(table),
                "rows": list(zip(lines, rows(table, lines), strict=True)),
                "figures": [(figure.about, _svg(figure)) for figure in figures],
            }
        )
    return _TEMPLATES.get_template("page.html").render(
        table=table,
        description=description,
        sections=sections,
        teacher_header=HEADER,
        teachers=[texts(line) for line in table.teachers],
        grid=grid,
        cells=cells,
        missing=[cell for cell in cells if cell.record is None],
        samplers=samplers,
        hours=sum(record.seconds for record in records) / 3600,
        devices=sorted({record.versions.get("device", "unknown") for record in records}),
        versions=_versions(records),
        created=created,
        examples=examples,
    )


def _svg(section: SectionFigure) -> Markup:
    return Markup(_inline(file_bytes(section.figure, "svg")))  # noqa: S704 - not user input


def _versions(records: Sequence[CellRecord]) -> dict[str, str]:
    """Versions of each library that the cells were trained with, comma-separated if they differ."""
    names = sorted({name for record in records for name in record.versions} - {"device"})
    return {
        name: ", ".join(sorted({r.versions[name] for r in records if name in r.versions})) for name in names
    }


def _inline(svg: bytes) -> str:
    """The <svg> element of an SVG file without fixed size. Its ids are unique by matplotlib's hash salt."""
    text = svg.decode()
    return re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", text[text.index("<svg") :], count=2)
