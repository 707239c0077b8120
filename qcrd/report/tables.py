"""Builds the table of a grid from its settings: means, intervals and comparisons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qcrd.report import wording
from qcrd.report.agreement import Agreement, agreement
from qcrd.report.comparison import compare, holm
from qcrd.report.model import Table, TableLine, TableRow, TeacherLine
from qcrd.report.statistics import accuracy


def table(
    rows: Sequence[TableRow],
    grid: str,
    preset: str,
    task: str,
    teachers: Sequence[TeacherLine] = (),
    cost: bool = False,
) -> Table:
    """Put together the table of a grid.

    Means exclude diverged, failed and unfinished cells; a note on the line says how many are excluded.
    """
    notes: list[str] = []
    lines = []
    best = _best(rows)
    bases = {row.setting.group: row for row in reversed(rows) if row.setting.base}
    for row in rows:
        group, row_notes = row.setting.group, wording.notes(row)
        notes += [note for note in row_notes if note not in notes]  # lines may share notes on deviations
        marks = tuple(notes.index(note) + 1 for note in row_notes)
        lines.append(_line(row, bases.get(group), row is best.get(group), marks))
    notes += wording.mixture(record for row in rows for record in row.finished)
    incomplete = Table(
        grid, preset, task, (), _corrected(lines), (), tuple(notes), cost, teachers=tuple(teachers)
    )
    agreements = tuple(filter(None, (_agreement(*section) for section in incomplete.sections())))
    return replace(
        incomplete,
        about=tuple(wording.about(incomplete.lines, cost)),
        findings=tuple(wording.findings(incomplete.lines, agreements)),
        agreements=agreements,
    )


def _line(row: TableRow, base: TableRow | None, best: bool, marks: tuple[int, ...]) -> TableLine:
    finished = row.finished
    test = accuracy([record.accuracy["test"] for record in finished], row.n_test) if finished else None
    votes = [record.accuracy["test_votes"] for record in finished if "test_votes" in record.accuracy]
    voted = accuracy(votes, row.n_test) if votes else None
    versus_base = None
    if base is not None and base is not row and _same_questions(base, row):
        versus_base = compare(row.predictions, base.predictions)
    return TableLine(row, test, best, versus_base, None, marks, voted)


def _corrected(lines: Sequence[TableLine]) -> tuple[TableLine, ...]:
    corrected = iter(holm([line.versus_base.p for line in lines if line.versus_base]))
    return tuple(replace(line, corrected_p=next(corrected)) if line.versus_base else line for line in lines)


def _agreement(group: str, lines: Sequence[TableLine]) -> Agreement | None:
    """Agreement with the paper's order; None if fewer than two settings have both results."""
    both = [
        (line.test.mean, line.row.published) for line in lines if line.test and line.row.published is not None
    ]
    return agreement(group, *zip(*both, strict=True)) if len(both) > 1 else None


def _test(row: TableRow) -> float:
    """Mean test accuracy of a complete row, in percent."""
    mean = row.accuracy("test")
    assert mean is not None  # every finished cell has a test accuracy
    return mean


def _best(rows: Sequence[TableRow]) -> dict[str, TableRow]:
    """Best row of each section, if one is significantly better than every other complete row.

    The comparisons are at `LEVEL` without correction for their number. This is an intersection-union test:
    all comparisons must be significant, so the error rate is at most that of a single one.
    """
    groups: dict[str, list[TableRow]] = {}
    for row in rows:
        if row.complete:
            groups.setdefault(row.setting.group, []).append(row)
    best = {}
    for group, complete in groups.items():
        top = max(complete, key=_test)
        others = [row for row in complete if row is not top]
        if others and all(
            _same_questions(top, other) and compare(top.predictions, other.predictions).first_is_better
            for other in others
        ):
            best[group] = top
    return best


def _same_questions(first: TableRow, second: TableRow) -> bool:
    """Whether both rows have predictions on the same questions; a swept task changes the questions."""
    ids = [{p.question_id for seed in row.predictions for p in seed} for row in (first, second)]
    return bool(ids[0]) and ids[0] == ids[1]
