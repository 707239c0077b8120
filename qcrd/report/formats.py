"""A table as Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict

from qcrd.report.tables import Line, Table
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
    "±": r"$\pm$",
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
    """For people: columns padded, so that it reads in a terminal too."""
    blocks = [f"## {table.grid}", f"preset {table.preset}, task {table.task}; {table.about}"]
    for group, lines in table.sections():
        if group:
            blocks.append(f"### {group}")
        blocks.append(_markdown(_grid(table, lines, "**{}**".format)))
    if table.teachers:
        blocks += ["### teacher", _markdown([list(HEADER), *map(texts, table.teachers)])]
    if table.notes:
        blocks.append("\n".join(f"[{i}] {note}  " for i, note in enumerate(table.notes, start=1)).rstrip())
    return "\n\n".join(blocks) + "\n"


def _markdown(rows: list[list[str]]) -> str:
    """Rows, the header first, with padded columns."""
    cells = [[text.replace("|", r"\|") for text in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in cells]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def latex(table: Table) -> str:
    r"""Table environments for the booktabs package; notes are in the caption, nothing is left unescaped."""
    sections = table.sections()
    columns = len(_header(table))
    body = []
    for group, lines in sections:
        rows = _grid(table, lines, str)[1:]
        if group:
            body += [r"\midrule", rf"\multicolumn{{{columns}}}{{l}}{{\emph{{{_escape(group)}}}}} \\"]
        body.append(r"\midrule")
        for line, row in zip(lines, rows, strict=True):
            texts = [_escape(text) for text in row]
            if line.best:
                texts[1] = rf"\textbf{{{texts[1]}}}"
            body.append(" & ".join(texts) + r" \\")
    caption = f"{table.grid}: preset {table.preset}, task {table.task}; {table.about}."
    caption += "".join(f" [{i}] {note}." for i, note in enumerate(table.notes, start=1))
    written = _latex(caption, _header(table), body)
    if table.teachers:
        rows = [" & ".join(map(_escape, texts(line))) + r" \\" for line in table.teachers]
        written += _latex(f"{table.grid}: the teacher.", list(HEADER), [r"\midrule", *rows])
    return written


def _latex(caption: str, header: list[str], body: list[str]) -> str:
    lines = [
        r"\begin{table}",
        r"\centering",
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
    """For programs: one line a setting, full precision, empty where there is nothing."""
    records = [_flat(table, line) for line in table.lines]
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=list(_flat(table, None)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(records)
    return text.getvalue()


def as_json(table: Table) -> str:
    """For programs: everything, the ids of the cells behind each mean among it."""
    return json.dumps(asdict(table), indent=1, ensure_ascii=False, allow_nan=False) + "\n"


FORMATS: dict[str, Callable[[Table], str]] = {
    "md": markdown,
    "csv": comma_separated,
    "json": as_json,
    "latex": latex,
}


def _header(table: Table) -> list[str]:
    header = ["setting", "test accuracy", "seeds", "validation", "last", "best"]
    if any(line.versus_base for line in table.lines):
        header += ["vs base", "p"]
    if any(line.published is not None for line in table.lines):
        header.append("paper")
    if any(line.versus_published is not None for line in table.lines):
        header.append("difference")
    return header


def _grid(table: Table, lines: list[Line], emphasise: Callable[[str], str]) -> list[list[str]]:
    """Header and lines as texts; the best line's accuracy goes through `emphasise`."""
    header = _header(table)
    rows = [header]
    for line in lines:
        test = f"{line.test.mean:.1f} ± {line.test.half:.1f}" if line.test else "-"
        marks = "".join(f" [{mark}]" for mark in line.marks)
        row = [
            line.label + (" (base)" if line.base else ""),
            (emphasise(test) if line.best else test) + marks,
            f"{line.done}/{line.planned}",
            _number(line.validation),
            _number(line.test_last),
            _number(line.test_best),
        ]
        if "p" in header:
            versus = line.versus_base
            row += [f"{versus.points:+.1f}", _p_value(versus.p)] if versus else ["", ""]
        if "paper" in header:
            row.append(_number(line.published, 2) if line.published is not None else "")
        if "difference" in header:
            row.append(f"{line.versus_published:+.1f}" if line.versus_published is not None else "")
        rows.append(row)
    return rows


def _flat(table: Table, line: Line | None) -> dict[str, object]:
    """One CSV record; without a line, one that only shows the names."""
    test = line.test if line else None
    versus = line.versus_base if line else None
    return {
        "grid": table.grid,
        "preset": table.preset,
        "task": table.task,
        "group": line and line.group,
        "label": line and line.label,
        "base": line and int(line.base),
        "test_accuracy": test and test.mean,
        "low": test and test.low,
        "high": test and test.high,
        "interval_over": test and test.over,
        **{
            name: line and getattr(line, name)
            for name in ("done", "planned", "diverged", "failed", "missing")
        },
        **{name: line and getattr(line, name) for name in ("validation", "test_last", "test_best")},
        "versus_base": versus and versus.points,
        "versus_base_p": versus and versus.p,
        "versus_base_test": versus and versus.test,
        "published": line and line.published,
        "versus_published": line and line.versus_published,
        "cells": line and " ".join(line.cells),
    }


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _p_value(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}"


def _escape(text: str) -> str:
    text = re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)  # a minus, not a hyphen
