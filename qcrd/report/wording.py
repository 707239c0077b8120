"""Texts of a table: explanations of the columns, findings of the comparisons, and notes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from qcrd.report.activity import SOURCES, idle_notes
from qcrd.report.agreement import Agreement
from qcrd.report.model import TableLine, TableRow
from qcrd.report.statistics import LEVEL, POWER
from qcrd.types import CellRecord

_SHORT = 6  # deviations from the paper that a note lists; JSON and CSV have all of them
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
    """Explanations of the columns and intervals that the lines have, as clauses."""
    rows = [line.row for line in lines]
    questions = sorted({row.n_test for row in rows})
    over = {line.test.over for line in lines if line.test}
    clauses = [f"{' or '.join(map(str, questions))} test questions"] if questions else []
    clauses.append(
        "accuracy in percent at the step chosen on validation; last: at the last step; "
        "best: at the step that is best on test, an upper bound"
    )
    if any(line.voted for line in lines):
        clauses.append("maj@n: majority of the n answers that the student samples per question")
    if any(row.agreement for row in rows):
        every = all(row.agreement for row in rows)
        clauses.append(
            f"{'students' if every else 'some students'} trained on the teacher's labels, no gold one"
        )
        clauses.append(
            "validation: agreement with the teacher's labels as each line has them (the first sample, or the "
            "vote over m), so not comparable across lines"
        )
    if over:
        clauses.append("±: " + "; or ".join(_INTERVALS[unit] for unit in sorted(over, reverse=True)))
    compared = [line.versus_base for line in lines if line.versus_base]
    if compared:
        tests = "; or ".join(_TESTS[test] for test in sorted({difference.test for difference in compared}))
        clauses.append(
            "vs base: points more than the base, on the same questions; p: two-sided, for no difference "
            f"({tests}), corrected for {_number(len(compared), 'comparison')} (Holm); "
            f"no evidence: of a difference, p ≥ {LEVEL}"
        )
        clauses.append(
            "detectable: the least true difference, in points, that a comparison of so many seeds and "
            f"questions finds in {POWER:.0%} of cases, before the correction; -: none"
        )
    if any(line.best for line in lines):
        clauses.append(f"bold: better than every other line of its section (p < {LEVEL} for each)")
    if any(row.active(source) is not None for row in rows for source in SOURCES):
        clauses.append(
            "active negatives: share of the chosen negatives within the margin, over the whole training (the "
            "others have no gradient); the teacher's / self-play's"
        )
    if cost:
        clauses.append(
            "per cell: teacher tokens, generated for the samples that it reads (cells share them); student "
            "TFLOP, matrix products of linear layers in training, with self-play, selection and updates of "
            "the discriminator, without evaluation; minutes, wall time with evaluation"
        )
    in_paper = [row for row in rows if row.published is not None]
    if in_paper:
        clauses.append("paper: " + ", ".join(dict.fromkeys(row.source for row in in_paper)))
    if any(row.deviations for row in in_paper):
        clauses.append(
            "lines that deviate from the paper's setup have no difference, since only the order is comparable"
        )
    return clauses


def findings(lines: Sequence[TableLine], agreements: Iterable[Agreement]) -> list[str]:
    """Results of the comparisons with the base and with the paper's order, as sentences."""
    compared = [line for line in lines if line.versus_base]
    sentences = []
    if compared:
        settings = [_by(line) for line in compared if line.differs]
        students = [_by(line) for line in compared if line.students_differ]
        undecided = len(compared) - len(settings) - len(students)
        if settings:
            sentences.append(f"Different from the base (p < {LEVEL}): {', '.join(settings)}.")
        if students:
            sentences.append(
                f"These students and the base's differ on these questions (p < {LEVEL}): "
                f"{', '.join(students)}. With one seed each that is no evidence about the settings."
            )
        if undecided:
            others = "other setting" if settings or students else "setting"
            sentences.append(f"No evidence of a difference from the base for {_number(undecided, others)}.")
    return sentences + [f"{agreement}." for agreement in agreements]


def notes(row: TableRow) -> list[str]:
    """Notes on a row: cells excluded from the mean, loss terms without effect, deviations from the paper."""
    name = row.setting.name
    diverged = [record for record in row.records if record.status != "done"]
    texts = []
    if diverged:
        seeds = ", ".join(str(record.settings.get("seed", "?")) for record in diverged)
        texts.append(
            f"{name}: {len(diverged)} of {row.planned} cells diverged (seed {seeds}), not in the mean"
        )
    if row.failed:
        reasons = "; ".join(dict.fromkeys(row.failed))
        texts.append(f"{name}: {len(row.failed)} of {row.planned} cells failed ({reasons}), not in the mean")
    if row.missing:
        texts.append(f"{name}: {row.missing} of {row.planned} cells not finished yet")
    if row.published is not None and row.deviations:
        listed = ", ".join(row.deviations[:_SHORT])
        more = len(row.deviations) - _SHORT
        texts.append(f"deviates from the paper: {listed}{f', and {more} more' if more > 0 else ''}")
    return texts + idle_notes(name, row.finished)


def mixture(records: Iterable[CellRecord]) -> list[str]:
    """A note if devices, library versions or commits of models and data differ between cells."""
    counted: dict[str, Counter[str]] = {}
    for record in {record.id: record for record in records}.values():
        for name, value in record.versions.items():
            if name.endswith("_commit"):  # cells may use different models or data
                name = f"commit of {_committed(name.removesuffix('_commit'), record.settings)}"
            counted.setdefault(name, Counter())[value] += 1
    mixed = []
    for name, counts in counted.items():
        if len(counts) > 1:
            listed = ", ".join(f"{value} ({_number(count, 'cell')})" for value, count in counts.most_common())
            mixed.append(f"{name} {listed}")
    return [f"the cells were not all trained with the same: {'; '.join(mixed)}"] if mixed else []


def _committed(kind: str, settings: Mapping[str, Any]) -> str:
    """Name of the model or data set whose commit a record has."""
    if kind == "data":
        return settings["task"].get("source") or f"the data of {settings['task']['name']}"
    model: str = settings[kind]["model" if kind == "teacher" else "checkpoint"]
    return model


def _by(line: TableLine) -> str:
    assert line.versus_base is not None  # only called for compared lines
    return f"{line.setting.name} ({line.versus_base.points:+.1f})"


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}{'' if count == 1 else 's'}"
