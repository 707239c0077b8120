"""Columns of a human-readable table, the same in Markdown, LaTeX and HTML."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd.report.activity import SOURCES
from qcrd.report.model import Table, TableLine
from qcrd.report.statistics import Estimate

ACCURACY = "test accuracy"
ACTIVE = "active negatives"
VOTES = "maj@n"


def header(table: Table) -> list[str]:
    """Column names; columns without content are left out."""
    names = ["setting", ACCURACY, "seeds", "validation", "last", "best"]
    if any(line.voted for line in table.lines):
        names.insert(2, VOTES)
    if any(line.versus_base for line in table.lines):
        names += ["vs base", "p", "detectable"]
    if any(line.row.published is not None for line in table.lines):
        names.append("paper")
    if any(line.versus_published is not None for line in table.lines):
        names.append("vs paper")
    if any(_active(line) for line in table.lines):
        names.append(ACTIVE)
    if table.cost:
        names += ["teacher tokens", "student TFLOP", "minutes"]
    return names


def rows(table: Table, lines: Sequence[TableLine]) -> list[list[str]]:
    """Texts of the lines, one per name of `header`. The formats add emphasis and note marks."""
    names = header(table)
    return [[text for name, text in _texts(line).items() if name in names] for line in lines]


def _texts(line: TableLine) -> dict[str, str]:
    row, versus = line.row, line.versus_base
    tokens, tflop = row.cost("teacher_tokens"), row.cost("student_tflop")
    return {
        "setting": line.setting.title(),
        ACCURACY: _estimate(line.test),
        VOTES: _estimate(line.voted),
        "seeds": f"{len(row.finished)}/{row.planned}",
        "validation": _number(row.accuracy("validation")),
        "last": _number(row.accuracy("test_last")),
        "best": _number(row.accuracy("test_best")),
        "vs base": f"{versus.points:+.1f}" if versus else "",
        "p": _p(line) if versus else "",
        "detectable": _number(versus.detectable) if versus else "",
        "paper": _number(row.published, 2) if row.published is not None else "",
        "vs paper": f"{line.versus_published:+.1f}" if line.versus_published is not None else "",
        ACTIVE: _active(line),
        "teacher tokens": "-" if tokens is None else f"{tokens:,.0f}",
        "student TFLOP": "-" if tflop is None else f"{tflop:,.3g}",
        "minutes": _number(row.seconds and row.seconds / 60),
    }


def _active(line: TableLine) -> str:
    """Shares of active negatives, `teacher / self-play`; empty without negatives.

    This does not depend on the `columns` of the grid: an accuracy alone does not show that the negatives had
    no effect.
    """
    shares = [line.row.active(source) for source in SOURCES]
    if all(share is None for share in shares):
        return ""
    return " / ".join("-" if share is None else f"{100 * share:.0f}%" for share in shares)


def _p(line: TableLine) -> str:
    assert line.corrected_p is not None  # lines without a comparison have an empty cell
    p = "<0.001" if line.corrected_p < 0.001 else f"{line.corrected_p:.3f}"
    if line.students_differ:
        return f"{p}, these students"
    return p if line.differs else f"{p}, no evidence"


def _estimate(estimate: Estimate | None) -> str:
    return str(estimate) if estimate else "-"


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
