"""A table as Markdown, CSV, JSON or LaTeX."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable
from dataclasses import asdict

from qcrd.report.columns import header, rows
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
    "[": "{[}",  # after the end of a row it would begin an argument
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
    """For people: columns padded, so that it reads in a terminal too."""
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
    blocks += ["  \n".join(several) for several in (table.findings, notes) if several]
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
    written = _latex(caption, names, body)
    if table.teachers:
        lines = [" & ".join(map(_escape, texts(line))) + r" \\" for line in table.teachers]
        written += _latex(f"{table.grid}: the teacher.", list(HEADER), [r"\midrule", *lines])
    return written


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


def _marks(line: Line) -> str:
    return "".join(f" [{mark}]" for mark in line.marks)


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
        "versus_base_low": versus and versus.low,
        "versus_base_high": versus and versus.high,
        "versus_base_p": versus and versus.p,
        "versus_base_p_holm": line and line.corrected_p,
        "versus_base_test": versus and versus.test,
        "versus_base_detectable": versus and versus.detectable,
        **{name: line and getattr(line, name) for name in ("active_teacher", "active_selfplay")},
        **{name: line and getattr(line, name) for name in ("teacher_tokens", "student_tflop", "seconds")},
        "method": line and line.method,
        "train": line and line.train,
        "published": line and line.published,
        "published_comparable": line and int(line.comparable),
        "published_unlike": line and "; ".join(line.unlike),
        "published_in": line and line.source,
        "versus_published": line and line.versus_published,
        "cells": line and " ".join(line.cells),
    }


def _escape(text: str) -> str:
    text = re.sub("|".join(map(re.escape, _LATEX)), lambda match: _LATEX[match.group()], text)
    return re.sub(r"(?<!\w)-(?=\d)", "$-$", text)  # a minus, not a hyphen
