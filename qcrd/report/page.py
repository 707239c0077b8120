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
from qcrd.report.figures import draw
from qcrd.report.tables import Table
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


def page(
    table: Table,
    description: str,
    grid: str,
    cells: Sequence[CellLine],
    samplers: Sequence[Mapping[str, Any]],
    made: str,
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
    """
    records = [cell.record for cell in cells if cell.record]
    sections = []
    drawn = {each.group: each for each in draw(table)}
    for group, lines in table.sections():
        figure = drawn.get(group)
        sections.append(
            {
                "group": group,
                "header": header(table),
                "rows": list(zip(lines, rows(table, lines), strict=True)),
                "figure": Markup(_inline(saved(figure.figure, "svg"))) if figure else None,  # noqa: S704 - drawn here
                "about": figure.about if figure else "",
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
    )


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
