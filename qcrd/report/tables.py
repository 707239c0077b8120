"""From finished cells to the lines of a table: means, intervals, and what is missing from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from qcrd.report.statistics import Difference, Estimate, accuracy, compare
from qcrd.report.teachers import TeacherLine
from qcrd.types import CellRecord, Prediction


@dataclass(frozen=True, slots=True)
class Row:
    """One setting of a table: the cells that differ in nothing but the seed."""

    group: str  # the section it stands in, such as the swept factor; "" for none
    label: str  # the setting within the section, such as the factor's value
    records: Sequence[CellRecord]  # of all cells that ended, diverged ones too
    n_test: int  # test questions
    failed: Sequence[str] = ()  # why, one line for each cell that failed
    missing: int = 0  # planned cells that have not ended yet
    base: bool = False  # whether it is the base setting, with which its section is compared
    published: float | None = None  # the paper's figure, in percent
    comparable: bool = True  # whether that figure is of the same task, student and labels
    agreement: bool = False  # whether the validation labels are the teacher's
    predictions: Sequence[Sequence[Prediction]] = ()  # on the test set, one list a finished cell

    @property
    def done(self) -> list[CellRecord]:
        """The cells whose accuracies count."""
        return [record for record in self.records if record.status == "done"]


@dataclass(frozen=True, slots=True)
class Line:
    """A row's figures, in percent; None where no cell is done."""

    group: str
    label: str
    base: bool
    best: bool  # highest test accuracy among the complete lines of its section
    test: Estimate | None  # at the step chosen on validation
    validation: float | None
    test_last: float | None  # at the last step
    test_best: float | None  # at the step that is best on test: an upper bound, not a result
    done: int
    planned: int
    diverged: int
    failed: int
    missing: int
    published: float | None
    versus_published: float | None  # points; None where either is, and where they are not comparable
    versus_base: Difference | None  # None for the base, and without predictions of both
    cells: tuple[str, ...]  # ids of the cells that the means are over
    marks: tuple[int, ...]  # numbers of its notes, from 1


@dataclass(frozen=True, slots=True)
class Table:
    """A whole table, ready to be written in any format."""

    grid: str
    preset: str
    task: str
    about: str  # what the figures and intervals are
    lines: tuple[Line, ...]
    notes: tuple[str, ...]  # what the figures leave out; note i + 1 is the line's mark i + 1
    teachers: tuple[TeacherLine, ...] = ()

    def sections(self) -> list[tuple[str, list[Line]]]:
        """Groups and their lines, in the order in which they first come."""
        groups: dict[str, list[Line]] = {}
        for line in self.lines:
            groups.setdefault(line.group, []).append(line)
        return list(groups.items())


def table(
    rows: Sequence[Row], grid: str, preset: str, task: str, teachers: Sequence[TeacherLine] = ()
) -> Table:
    """Put together the table of a grid.

    Diverged, failed and unfinished cells are in no mean, and each line that lacks some has a note.
    """
    notes: list[str] = []
    lines = []
    for row in rows:
        own = _notes(row)
        notes += own
        marks = range(len(notes) - len(own) + 1, len(notes) + 1)
        lines.append(_line(row, _base_of(row, rows), _is_best(row, rows), tuple(marks)))
    return Table(grid, preset, task, _about(lines, rows), tuple(lines), tuple(notes), tuple(teachers))


def _line(row: Row, base: Row | None, best: bool, marks: tuple[int, ...]) -> Line:
    test = accuracy([record.accuracy["test"] for record in row.done], row.n_test) if row.done else None
    has_figure = row.published is not None
    versus_base = None
    if base is not None and base is not row and _same_questions(base, row):
        versus_base = compare(row.predictions, base.predictions)
    return Line(
        group=row.group,
        label=row.label,
        base=row.base,
        best=best,
        test=test,
        validation=_mean(row, "validation"),
        test_last=_mean(row, "test_last"),
        test_best=_mean(row, "test_best"),
        done=len(row.done),
        planned=len(row.records) + len(row.failed) + row.missing,
        diverged=len(row.records) - len(row.done),
        failed=len(row.failed),
        missing=row.missing,
        published=row.published,
        versus_published=test.mean - row.published if test and row.comparable and has_figure else None,
        versus_base=versus_base,
        cells=tuple(record.id for record in row.done),
        marks=marks,
    )


def _mean(row: Row, key: str) -> float | None:
    values = [record.accuracy[key] for record in row.done if key in record.accuracy]
    return fmean(values) if values else None


def _is_complete(row: Row) -> bool:
    return bool(row.done) and len(row.done) == len(row.records) and not row.failed and not row.missing


def _is_best(row: Row, rows: Sequence[Row]) -> bool:
    rivals = [_mean(other, "test") for other in rows if other.group == row.group and _is_complete(other)]
    return _is_complete(row) and len(rivals) > 1 and _mean(row, "test") == max(rivals)


def _base_of(row: Row, rows: Sequence[Row]) -> Row | None:
    return next((other for other in rows if other.base and other.group == row.group), None)


def _same_questions(first: Row, second: Row) -> bool:
    """Whether both have predictions, and on the same questions: a swept task has others."""
    asked = [{p.question_id for seed in row.predictions for p in seed} for row in (first, second)]
    return bool(asked[0]) and asked[0] == asked[1]


def _notes(row: Row) -> list[str]:
    name = f"{row.group} {row.label}".strip()
    planned = len(row.records) + len(row.failed) + row.missing
    notes = []
    diverged = [record for record in row.records if record.status != "done"]
    if diverged:
        seeds = ", ".join(str(record.settings.get("seed", "?")) for record in diverged)
        notes.append(f"{name}: {len(diverged)} of {planned} cells diverged (seed {seeds}), not in the mean")
    if row.failed:
        reasons = "; ".join(dict.fromkeys(row.failed))
        notes.append(f"{name}: {len(row.failed)} of {planned} cells failed ({reasons}), not in the mean")
    if row.missing:
        notes.append(f"{name}: {row.missing} of {planned} cells not finished yet")
    return notes


def _about(lines: Sequence[Line], rows: Sequence[Row]) -> str:
    questions = sorted({row.n_test for row in rows})
    over = {line.test.over for line in lines if line.test}
    about = [f"{' or '.join(map(str, questions))} test questions"] if questions else []
    about += [
        "accuracy in percent at the step chosen on validation; last: at the last step; "
        "best: at the step that is best on test, an upper bound"
    ]
    if any(row.agreement for row in rows):
        about.append(
            "validation: agreement with the teacher's labels as each line has them (the first sample, or the "
            "vote over m), so not comparable across lines"
        )
    intervals = {
        "seeds": "half the 95% interval over seeds (Student's t)",
        "questions": "half the 95% interval over test questions where there is one seed (Wilson)",
    }
    if over:
        about.append("±: " + "; or ".join(intervals[each] for each in sorted(over, reverse=True)))
    tests = sorted({line.versus_base.test for line in lines if line.versus_base})
    if tests:
        about.append(
            f"p: no difference from the base on the same questions ({' or '.join(tests)}), "
            "not corrected for the number of lines"
        )
    if any(row.published is not None and not row.comparable for row in rows):
        about.append(
            "paper: QCRD's on SVAMP with T5-base and gold labels; task, student or labels are others here, "
            "so no difference is given"
        )
    return "; ".join(about)
