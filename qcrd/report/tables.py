"""From finished cells to the lines of a table: means, intervals, comparisons, and what is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from qcrd.report import wording
from qcrd.report.activity import active
from qcrd.report.agreement import Agreement, agreement
from qcrd.report.comparison import Difference, compare, holm
from qcrd.report.statistics import LEVEL, Estimate, accuracy
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
    unlike: Sequence[str] = ()  # in what the cells are not what that figure is of; () is nothing
    source: str = ""  # where that figure stands in the paper, and of what it is
    agreement: bool = False  # whether the validation labels are the teacher's
    predictions: Sequence[Sequence[Prediction]] = ()  # on the test set, one list a finished cell
    factor: str | None = None  # the swept setting, as a dotted path
    method: str = ""
    train: int = 0  # training questions
    combinations: Sequence[Mapping[str, str]] = ()  # values of product factors that it is the result of

    @property
    def done(self) -> list[CellRecord]:
        """The cells whose accuracies count."""
        return [record for record in self.records if record.status == "done"]

    @property
    def planned(self) -> int:
        """Cells that the setting has."""
        return len(self.records) + len(self.failed) + self.missing


@dataclass(frozen=True, slots=True)
class Line:
    """A row's figures, in percent; None where no cell is done."""

    group: str
    label: str
    base: bool
    best: bool  # better than every other complete line of its section, with evidence for each
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
    comparable: bool  # whether the paper's figure is of the same task, student, teacher, labels and settings
    unlike: tuple[str, ...]  # in what it is not
    source: str  # where it stands
    versus_published: float | None  # points; None where either is, and where they are not comparable
    versus_base: Difference | None  # None for the base, and without predictions of both
    corrected_p: float | None  # that difference's, for the number of comparisons in the table (Holm)
    factor: str | None  # the swept setting, as a dotted path
    method: str
    train: int  # training questions
    teacher_tokens: float | None  # that the teacher generated for the samples that a cell reads
    student_tflop: float | None  # of a training; see `qcrd.student.flops`
    seconds: float | None  # wall time of training and evaluation
    cells: tuple[str, ...]  # ids of the cells that the means are over
    marks: tuple[int, ...]  # numbers of its notes, from 1
    combinations: tuple[Mapping[str, str], ...] = ()  # values of product factors that it is the result of
    active_teacher: float | None = None  # share of the teacher's chosen negatives within the margin, 0 to 1
    active_selfplay: float | None = None  # the same of self-play's

    @property
    def complete(self) -> bool:
        """Whether all its cells count."""
        return 0 < self.done == self.planned

    @property
    def differs(self) -> bool:
        """Whether there is evidence that the setting, over its seeds, differs from the base."""
        return self._significant and not self.versus_base.of_students

    @property
    def students_differ(self) -> bool:
        """Whether the two students differ; with one seed each that is no evidence about their settings."""
        return self._significant and self.versus_base.of_students

    @property
    def _significant(self) -> bool:
        return self.corrected_p is not None and self.corrected_p < LEVEL


@dataclass(frozen=True, slots=True)
class Table:
    """A whole table, ready to be written in any format."""

    grid: str
    preset: str
    task: str
    about: tuple[str, ...]  # what the figures and intervals are
    lines: tuple[Line, ...]
    findings: tuple[str, ...]  # what the comparisons come to, in words
    notes: tuple[str, ...]  # what the figures leave out or mix; note i + 1 is the lines' mark i + 1
    cost: bool = False  # whether what a setting costs stands beside what it brings
    agreements: tuple[Agreement, ...] = ()  # with the paper's order, of each section that has figures
    teachers: tuple[TeacherLine, ...] = ()

    def sections(self) -> list[tuple[str, list[Line]]]:
        """Groups and their lines, in the order in which they first come."""
        groups: dict[str, list[Line]] = {}
        for line in self.lines:
            groups.setdefault(line.group, []).append(line)
        return list(groups.items())


def table(
    rows: Sequence[Row],
    grid: str,
    preset: str,
    task: str,
    teachers: Sequence[TeacherLine] = (),
    cost: bool = False,
) -> Table:
    """Put together the table of a grid.

    Diverged, failed and unfinished cells are in no mean, and each line that lacks some has a note.
    """
    notes: list[str] = []
    lines = []
    best = _best(rows)
    bases = {row.group: row for row in reversed(rows) if row.base}
    for row in rows:
        own = wording.notes(row)
        notes += [note for note in own if note not in notes]  # lines may share what is said of the paper's
        marks = tuple(notes.index(note) + 1 for note in own)
        lines.append(_line(row, bases.get(row.group), row is best.get(row.group), marks))
    notes += wording.mixture(record for row in rows for record in row.done)
    found = Table(grid, preset, task, (), _corrected(lines), (), tuple(notes), cost, teachers=tuple(teachers))
    agreements = tuple(filter(None, (_agreement(*section) for section in found.sections())))
    return replace(
        found,
        about=tuple(wording.about(found.lines, rows, cost)),
        findings=tuple(wording.findings(found.lines, agreements)),
        agreements=agreements,
    )


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
        planned=row.planned,
        diverged=len(row.records) - len(row.done),
        failed=len(row.failed),
        missing=row.missing,
        published=row.published,
        comparable=not row.unlike,
        unlike=tuple(row.unlike),
        source=row.source,
        versus_published=test.mean - row.published if test and has_figure and not row.unlike else None,
        versus_base=versus_base,
        corrected_p=None,
        factor=row.factor,
        method=row.method,
        train=row.train,
        teacher_tokens=_cost(row, "teacher_tokens"),
        student_tflop=_cost(row, "student_tflop"),
        seconds=fmean(record.seconds for record in row.done) if row.done else None,
        cells=tuple(record.id for record in row.done),
        marks=marks,
        combinations=tuple(row.combinations),
        active_teacher=active(row.done, "teacher"),
        active_selfplay=active(row.done, "selfplay"),
    )


def _corrected(lines: Sequence[Line]) -> tuple[Line, ...]:
    corrected = iter(holm([line.versus_base.p for line in lines if line.versus_base]))
    return tuple(replace(line, corrected_p=next(corrected)) if line.versus_base else line for line in lines)


def _agreement(group: str, lines: Sequence[Line]) -> Agreement | None:
    """With the paper's order, None where fewer than two settings have both figures."""
    both = [(line.test.mean, line.published) for line in lines if line.test and line.published is not None]
    return agreement(group, *zip(*both, strict=True)) if len(both) > 1 else None


def _mean(row: Row, key: str) -> float | None:
    values = [record.accuracy[key] for record in row.done if key in record.accuracy]
    return fmean(values) if values else None


def _cost(row: Row, name: str) -> float | None:
    """A mean over its cells; None where one did not count it, as cells of earlier versions."""
    values = [record.statistics.get(f"cost/{name}") for record in row.done]
    return fmean(values) if values and None not in values else None


def _is_complete(row: Row) -> bool:
    return 0 < len(row.done) == row.planned


def _best(rows: Sequence[Row]) -> dict[str, Row]:
    """Of each section the line that is better than every other complete one, where there is evidence.

    Each of the comparisons is at `LEVEL`, with no correction for their number: all of them must come out, so
    that the chance of a false one is no larger than that of any of them (an intersection-union test).
    """
    groups: dict[str, list[Row]] = {}
    for row in rows:
        if _is_complete(row):
            groups.setdefault(row.group, []).append(row)
    found = {}
    for group, complete in groups.items():
        top = max(complete, key=lambda row: _mean(row, "test"))
        others = [row for row in complete if row is not top]
        if others and all(
            _same_questions(top, other) and compare(top.predictions, other.predictions).first_is_better
            for other in others
        ):
            found[group] = top
    return found


def _same_questions(first: Row, second: Row) -> bool:
    """Whether both have predictions, and on the same questions: a swept task has others."""
    asked = [{p.question_id for seed in row.predictions for p in seed} for row in (first, second)]
    return bool(asked[0]) and asked[0] == asked[1]
