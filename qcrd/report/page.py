"""One self-contained HTML page per grid: tables, figures, and where every figure comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from qcrd.report.columns import header, rows
from qcrd.report.drawing import saved
from qcrd.report.figures import Drawn, draw
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
    """A cell as the page lists it."""

    id: str
    name: str
    state: str
    record: CellRecord | None  # None where it has not ended


@dataclass(frozen=True, slots=True)
class Said:
    """What one setting's student says to a question."""

    setting: str
    rationale: str  # "" where there is none
    answer: str  # as it wrote it
    correct: bool


@dataclass(frozen=True, slots=True)
class Example:
    """A test question with the settings' rationales and answers side by side."""

    question: str
    label: str  # the gold one
    said: tuple[Said, ...]


def page(
    table: Table,
    description: str,
    grid: str,
    cells: Sequence[CellLine],
    samplers: Sequence[Mapping[str, Any]],
    made: str,
    examples: Sequence[Example] = (),
) -> str:
    """The page; nothing in it is fetched from elsewhere, and it has no scripts.

    Args:
        table: the grid's table.
        description: one line about the grid.
        grid: its YAML as it was run, with the preset's part in place.
        cells: all planned cells, in their order.
        samplers: what each teacher is and how much of it is used: mappings with `name`, `task`, `wanted`,
            `missing`, `key` and `identity`.
        made: when, for people.
        examples: of what the students say.
    """
    records = [cell.record for cell in cells if cell.record]
    sections = []
    drawn = list(draw(table))
    for group, lines in table.sections():
        figures = [each for each in drawn if each.group == group]
        sections.append(
            {
                "group": group,
                "header": header(table),
                "rows": list(zip(lines, rows(table, lines), strict=True)),
                "figures": [(each.about, _svg(each)) for each in figures],
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
        made=made,
        examples=examples,
    )


def _svg(drawn: Drawn) -> Markup:
    return Markup(_inline(saved(drawn.figure, "svg")))  # noqa: S704 - drawn here


def _versions(records: Sequence[CellRecord]) -> dict[str, str]:
    """Each library with the versions that the cells were trained with, all of them where they differ."""
    names = sorted({name for record in records for name in record.versions} - {"device"})
    return {
        name: ", ".join(sorted({r.versions[name] for r in records if name in r.versions})) for name in names
    }


def _inline(svg: bytes) -> str:
    """An SVG file's drawing as part of a page, its ids made its own by matplotlib's salt."""
    text = svg.decode()
    return re.sub(r'(<svg[^>]*?) (?:height|width)="[^"]*"', r"\1", text[text.index("<svg") :], count=2)
