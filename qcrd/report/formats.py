"""A table as Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from qcrd.report.activity import SOURCES
from qcrd.report.columns import header, rows
from qcrd.report.model import Table, TableLine
from qcrd.report.teachers import HEADER, texts

_LATEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "[": "{[}",  # at the start of a row it would begin an argument of the row end
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "≥": r"$\ge$",
}


def render(table: Table, format: str = "md") -> str:
    """`table` as text, ending with a newline.

    Raises:
        ValueError: for a format that is not in `FORMATS`.
    """
    if format not in FORMATS:
        raise ValueError(f"format is {format!r}; allowed: {', '.join(FORMATS)}")
    return FORMATS[format](table)


def markdown(table: Table) -> str:
    """Markdown with padded columns, readable in a terminal too."""
    about = "; ".join(table.about)
    blocks = [f"## {table.grid}", f"preset {table.preset}, task {table.task}; {about}"]
    for group, lines in table.sections():
        if group:
            blocks.append(f"### {group}")
        body = rows(table, lines)
        for line, row in zip(lines, body, strict=True):
            row[1] = (f"**{row[1]}**" if line.best else row[1]) + _marks(line)
        blocks.append(_markdown([header(table), *body]))
    if table.teachers:
        blocks += ["### teacher", _markdown([list(HEADER), *map(texts, table.teachers)])]
    notes = [f"[{i}] {note}" for i, note in enumerate(table.notes, start=1)]
    blocks += ["  \n".join(sentences) for sentences in (table.findings, notes) if sentences]
    return "\n\n".join(blocks) + "\n"


def _markdown(rows: list[list[str]]) -> str:
    """A Markdown table with padded columns; the first row is the header."""
    cells = [[text.replace("|", r"\|") for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def latex(table: Table) -> str:
    r"""LaTeX tables for the booktabs package, with the notes in the caption; all text is escaped."""
    names = header(table)
    body = []
    for group, lines in table.sections():
        if group:
            body += [r"\midrule", rf"\multicolumn{{{len(names)}}}{{l}}{{\emph{{{_escape(group)}}}}} \\"]
        body.append(r"\midrule")
        for line, row in zip(lines, rows(table, lines), strict=True):
            escaped = [_escape(text) for text in row]
            escaped[1] = (rf"\textbf{{{escaped[1]}}}" if line.best else escaped[1]) + _escape(_marks(line))
            body.append(" & ".join(escaped) + r" \\")
    caption = f"{table.grid}: preset {table.preset}, task {table.task}; {'; '.join(table.about)}."
    caption += "".join(f" {finding}" for finding in table.findings)
    caption += "".join(f" [{i}] {note}." for i, note in enumerate(table.notes, start=1))
    text = _latex(caption, names, body)
    if table.teachers:
        teachers = [" & ".join(map(_escape, texts(line))) + r" \\" for line in table.teachers]
        text += _latex(f"{table.grid}: the teacher.", list(HEADER), [r"\midrule", *teachers])
    return text


def _latex(caption: str, header: list[str], body: list[str]) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
        r"\small",
        rf"\caption{{{_escape(caption)}}}",
        rf"\begin{{tabular}}{{l{'r' * (len(header) - 1)}}}",
        r"\toprule",
        " & ".join(map(_escape, header)) + r" \\",
        *body,
        r"\bottomrule",
        r"\end{tabular}",
        r"\end{table}",
        "",
    ]
    return "\n".join(lines)


def comma_separated(table: Table) -> str:
    """CSV: one line per setting, full precision, empty fields for missing values."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=_COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(_record(table, line) for line in table.lines)
    return text.getvalue()


def as_json(table: Table) -> str:
    """JSON with all data of the table, including the ids of the cells behind each mean."""
    content = {
        "grid": table.grid,
        "preset": table.preset,
        "task": table.task,
        "about": table.about,
        "lines": [_object(line) for line in table.lines],
        "findings": table.findings,
        "notes": table.notes,
        "cost": table.cost,
        "agreements": [asdict(agreement) for agreement in table.agreements],
        "teachers": [asdict(line) for line in table.teachers],
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "json": as_json,
    "latex": latex,
}


def _marks(line: TableLine) -> str:
    return "".join(f" [{mark}]" for mark in line.marks)


def _object(line: TableLine) -> dict[str, Any]:
    """JSON object of a line; accuracies in percent, differences in percentage points."""
    row, setting = line.row, line.setting
    return {
        "group": setting.group,
        "label": setting.label,
        "base": setting.base,
        "best": line.best,
        "test": line.test and asdict(line.test),
        **{key: row.accuracy(key) for key in ("validation", "test_last", "test_best", "test_votes")},
        "done": len(row.finished),
        "planned": row.planned,
        "diverged": len(row.records) - len(row.finished),
        "failed": len(row.failed),
        "missing": row.missing,
        "published": row.published,
        "comparable": not row.deviations,
        "unlike": row.deviations,
        "source": row.source,
        "versus_published": line.versus_published,
        "versus_base": line.versus_base and asdict(line.versus_base),
        "corrected_p": line.corrected_p,
        "factor": setting.factor,
        "method": row.method,
        "train": row.train,
        **{name: row.cost(name) for name in ("teacher_tokens", "student_tflop")},
        "seconds": row.seconds,
        "cells": [record.id for record in row.finished],
        "marks": line.marks,
        "combinations": [dict(combination) for combination in setting.combinations],
        **{f"active_{source}": row.active(source) for source in SOURCES},
    }


_COLUMNS = [
    "grid", "preset", "task", "group", "label", "base", "test_accuracy", "low", "high", "interval_over",
    "done", "planned", "diverged", "failed", "missing", "validation", "test_last", "test_best", "test_votes",
    "versus_base", "versus_base_low", "versus_base_high", "versus_base_p", "versus_base_p_holm",
    "versus_base_test", "versus_base_detectable", "active_teacher", "active_selfplay", "teacher_tokens",
    "student_tflop", "seconds", "method", "train", "published", "published_comparable", "published_unlike",
    "published_in", "versus_published", "cells",
]  # fmt: skip


def _record(table: Table, line: TableLine) -> dict[str, Any]:
    """One record of the CSV, from the values of the JSON object."""
    figures = _object(line)
    test, versus = figures["test"] or {}, figures["versus_base"] or {}
    renamed = {
        "grid": table.grid,
        "preset": table.preset,
        "task": table.task,
        "base": int(figures["base"]),
        "test_accuracy": test.get("mean"),
        **{name: test.get(name) for name in ("low", "high")},
        "interval_over": test.get("over"),
        "versus_base": versus.get("points"),
        **{f"versus_base_{name}": versus.get(name) for name in ("low", "high", "p", "test", "detectable")},
        "versus_base_p_holm": figures["corrected_p"],
        "published_comparable": int(figures["comparable"]),
        "published_unlike": "; ".join(figures["unlike"]),
        "published_in": figures["source"],
        "cells": " ".join(figures["cells"]),
    }
    return {name: renamed[name] if name in renamed else figures[name] for name in _COLUMNS}


def _escape(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    text = re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)  # a minus, not a hyphen
