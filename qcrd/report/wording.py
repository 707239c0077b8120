"""What a table says in words: what its figures are, what they come to, what they leave out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qcrd.report.activity import SOURCES, idle_notes
from qcrd.report.agreement import Agreement
from qcrd.report.model import TableLine, TableRow
from qcrd.report.statistics import LEVEL, POWER
from qcrd.types import CellRecord

_SHORT = 6  # differences from the paper that a note names; all of them are in the JSON and the CSV
_INTERVALS = {
    "seeds": "95% interval over seeds (Student's t)",
    "questions": "95% interval over test questions where there is one seed (Wilson), to its farther end",
}
_TESTS = {
    "McNemar": "McNemar's exact test where there is one seed each, which is about these students on these "
    "questions, not about their settings",
    "t": "t-test over questions and seeds, Satterthwaite's degrees of freedom",
}


def about(lines: Sequence[TableLine], cost: bool = False) -> list[str]:
    """What the figures and intervals are, as clauses."""
    rows = [line.row for line in lines]
    questions = sorted({row.n_test for row in rows})
    over = {line.test.over for line in lines if line.test}
    said = [f"{' or '.join(map(str, questions))} test questions"] if questions else []
    said.append(
        "accuracy in percent at the step chosen on validation; last: at the last step; "
        "best: at the step that is best on test, an upper bound"
    )
    if any(row.agreement for row in rows):
        every = all(row.agreement for row in rows)
        said.append(
            f"{'students' if every else 'some students'} trained on the teacher's labels, no gold one"
        )
        said.append(
            "validation: agreement with the teacher's labels as each line has them (the first sample, or the "
            "vote over m), so not comparable across lines"
        )
    if over:
        said.append("±: " + "; or ".join(_INTERVALS[each] for each in sorted(over, reverse=True)))
    compared = [line.versus_base for line in lines if line.versus_base]
    if compared:
        tests = "; or ".join(_TESTS[test] for test in sorted({each.test for each in compared}))
        said.append(
            "vs base: points more than the base, on the same questions; p: two-sided, for no difference "
            f"({tests}), corrected for {_number(len(compared), 'comparison')} (Holm); "
            f"no evidence: of a difference, p ≥ {LEVEL}"
        )
        said.append(
            "detectable: the least true difference, in points, that a comparison of so many seeds and "
            f"questions finds in {POWER:.0%} of cases, before the correction; -: none"
        )
    if any(line.best for line in lines):
        said.append(f"bold: better than every other line of its section (p < {LEVEL} for each)")
    if any(row.active(source) is not None for row in rows for source in SOURCES):
        said.append(
            "active negatives: share of the chosen negatives, over the whole training, within the margin, "
            "which alone push; the teacher's / self-play's"
        )
    if cost:
        said.append(
            "per cell: teacher tokens, generated for the samples that it reads (cells share them); student "
            "TFLOP, products of linear layers in training, with self-play, selection and the judge's "
            "updates, without evaluation; minutes, wall time with evaluation"
        )
    with_figure = [row for row in rows if row.published is not None]
    if with_figure:
        said.append("paper: " + ", ".join(dict.fromkeys(row.source for row in with_figure)))
    if any(row.unlike for row in with_figure):
        said.append(
            "where a line is not what the paper's figure is of, it stands for the order: no difference"
        )
    return said


def findings(lines: Sequence[TableLine], agreements: Iterable[Agreement]) -> list[str]:
    """What the comparisons with the base and with the paper's order come to, as sentences."""
    compared = [line for line in lines if line.versus_base]
    found = []
    if compared:
        settings = [_by(line) for line in compared if line.differs]
        students = [_by(line) for line in compared if line.students_differ]
        alike = len(compared) - len(settings) - len(students)
        if settings:
            found.append(f"Different from the base (p < {LEVEL}): {', '.join(settings)}.")
        if students:
            found.append(
                f"These students and the base's differ on these questions (p < {LEVEL}): "
                f"{', '.join(students)}. With one seed each that is no evidence about the settings."
            )
        if alike:
            others = "other setting" if settings or students else "setting"
            found.append(f"No evidence of a difference from the base for {_number(alike, others)}.")
    return found + [f"{each}." for each in agreements]


def notes(row: TableRow) -> list[str]:
    """What the row's mean leaves out, what did nothing, and what the paper's figure is of instead."""
    name = row.setting.name
    diverged = [record for record in row.records if record.status != "done"]
    found = []
    if diverged:
        seeds = ", ".join(str(record.settings.get("seed", "?")) for record in diverged)
        found.append(
            f"{name}: {len(diverged)} of {row.planned} cells diverged (seed {seeds}), not in the mean"
        )
    if row.failed:
        reasons = "; ".join(dict.fromkeys(row.failed))
        found.append(f"{name}: {len(row.failed)} of {row.planned} cells failed ({reasons}), not in the mean")
    if row.missing:
        found.append(f"{name}: {row.missing} of {row.planned} cells not finished yet")
    if row.published is not None and row.unlike:
        said = ", ".join(row.unlike[:_SHORT])
        more = len(row.unlike) - _SHORT
        found.append(f"other than the paper's: {said}{f', and {more} more' if more > 0 else ''}")
    return found + idle_notes(name, row.finished)


def mixture(records: Iterable[CellRecord]) -> list[str]:
    """What differs between the machines and programs that the cells were trained with."""
    counted: dict[str, Counter[str]] = {}
    for record in {record.id: record for record in records}.values():
        for name, value in record.versions.items():
            if name.endswith("_commit"):  # cells may well begin from different models, or of other data
                name = f"commit of {_committed(name.removesuffix('_commit'), record.settings)}"
            counted.setdefault(name, Counter())[value] += 1
    found = []
    for name, counts in counted.items():
        if len(counts) > 1:
            each = ", ".join(f"{value} ({_number(count, 'cell')})" for value, count in counts.most_common())
            found.append(f"{name} {each}")
    return [f"the cells were not all trained with the same: {'; '.join(found)}"] if found else []


def _committed(what: str, settings: Mapping[str, Any]) -> str:
    """Name of the model or data set whose commit a record has."""
    if what == "data":
        return settings["task"].get("source") or f"the data of {settings['task']['name']}"
    return settings[what]["model" if what == "teacher" else "checkpoint"]


def _by(line: TableLine) -> str:
    assert line.versus_base is not None  # of lines that are compared
    return f"{line.setting.name} ({line.versus_base.points:+.1f})"


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
