"""The columns of a table for people, the same in every format."""

from __future__ import annotations

from collections.abc import Sequence

from qcrd.report.tables import Line, Table

ACCURACY = "test accuracy"
ACTIVE = "active negatives"


def header(table: Table) -> list[str]:
    """Names of the columns; those without any content are left out."""
    names = ["setting", ACCURACY, "seeds", "validation", "last", "best"]
    if any(line.versus_base for line in table.lines):
        names += ["vs base", "p", "detectable"]
    if any(line.published is not None for line in table.lines):
        names.append("paper")
    if any(line.versus_published is not None for line in table.lines):
        names.append("vs paper")
    if any(_active(line) for line in table.lines):
        names.append(ACTIVE)
    if table.cost:
        names += ["teacher tokens", "student TFLOP", "minutes"]
    return names


def rows(table: Table, lines: Sequence[Line]) -> list[list[str]]:
    """The lines' texts under `header`; the best accuracy is not emphasised yet."""
    names = header(table)
    return [[text for name, text in _texts(line).items() if name in names] for line in lines]


def _texts(line: Line) -> dict[str, str]:
    versus = line.versus_base
    return {
        "setting": line.label + (" (base)" if line.base else ""),
        ACCURACY: f"{line.test.mean:.1f} ± {line.test.reach:.1f}" if line.test else "-",
        "seeds": f"{line.done}/{line.planned}",
        "validation": _number(line.validation),
        "last": _number(line.test_last),
        "best": _number(line.test_best),
        "vs base": f"{versus.points:+.1f}" if versus else "",
        "p": _p(line) if versus else "",
        "detectable": _number(versus.detectable) if versus else "",
        "paper": _number(line.published, 2) if line.published is not None else "",
        "vs paper": f"{line.versus_published:+.1f}" if line.versus_published is not None else "",
        ACTIVE: _active(line),
        "teacher tokens": "-" if line.teacher_tokens is None else f"{line.teacher_tokens:,.0f}",
        "student TFLOP": "-" if line.student_tflop is None else f"{line.student_tflop:,.3g}",
        "minutes": _number(line.seconds and line.seconds / 60),
    }


def _active(line: Line) -> str:
    """The teacher's and self-play's; empty without either. A column of its own accord, without `columns`:
    where negatives are off, an accuracy beside their settings says nothing about these."""
    shares = (line.active_teacher, line.active_selfplay)
    if shares == (None, None):
        return ""
    return " / ".join("-" if share is None else f"{100 * share:.0f}%" for share in shares)


def _p(line: Line) -> str:
    p = "<0.001" if line.corrected_p < 0.001 else f"{line.corrected_p:.3f}"
    if line.students_differ:
        return f"{p}, these students"
    return p if line.differs else f"{p}, no evidence"


def _number(value: float | None, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
