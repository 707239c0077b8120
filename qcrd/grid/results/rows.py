"""Builds a grid's table from the records of its cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from qcrd.cell.teacher_accuracy import TeacherAccuracy, teacher_accuracies
from qcrd.errors import DamagedResult
from qcrd.grid.plan.study import Study, last_status, state
from qcrd.grid.results.layout import SettingCells, table_settings
from qcrd.report.model import Table, TableRow
from qcrd.report.paper import counterpart
from qcrd.report.tables import table
from qcrd.report.teachers import teacher_line


def tables(study: Study, accuracies: Sequence[TeacherAccuracy] | None = None) -> Table:
    """The grid's table with the results so far.

    Args:
        study: the grid.
        accuracies: accuracies of its teachers, from `study_accuracies`; None: measure them now.
    """
    settings = table_settings(study.grid, study.cells, study.ids)
    compared = {setting.setting.group for setting in settings if setting.setting.base}
    rows = [_row(study, setting, setting.setting.group in compared) for setting in settings]
    names = sorted({planned.cell.settings.task.name for planned in study.cells})
    lines = [
        teacher_line(a.teacher, a.task, a.split, a.m, a.statistics, "table3" in study.grid.paper)
        for a in (study_accuracies(study) if accuracies is None else accuracies)
    ]
    result = table(rows, study.grid.name, study.preset, ", ".join(names), lines, "cost" in study.grid.columns)
    if changed := str(study.changes):
        result = replace(result, about=(f"changed by {changed}", *result.about))
    return result


def study_accuracies(study: Study) -> list[TeacherAccuracy]:
    """Accuracy of the teachers' answers on each split whose samples are stored."""
    return [
        accuracy
        for need, cell in study.sample_needs()
        for accuracy in teacher_accuracies(cell, study.home, need.m)
    ]


def _row(study: Study, line: SettingCells, compared: bool) -> TableRow:
    """A line's records; also predictions if `compared`, as those of thousands of cells would fill memory."""
    records, failed, predictions, missing = [], [], [], 0
    for cell_id in line.cells:
        record = study.home.record(cell_id)
        try:
            study.home.check_result(cell_id)
        except DamagedResult as error:
            failed.append(str(error))
            continue
        if record is not None:
            records.append(record)
            if (
                compared
                and record.status == "done"
                and (predictions_by_split := study.home.predictions(record))
            ):
                predictions.append(predictions_by_split["test"])
        elif state(study.home, cell_id) == "failed":
            failed.append(last_status(study.home, cell_id)[1])
        else:
            missing += 1
    cell = next(iter(line.cells.values())).cell
    return TableRow(
        line.setting,
        records,
        n_test=len(cell.splits.test),
        train=len(cell.splits.train),
        method=cell.method.name,
        failed=failed,
        missing=missing,
        counterpart=counterpart(cell.settings, study.grid.paper, line.setting.factor),
        agreement=cell.from_teacher,
        predictions=predictions,
    )
