"""A study's cells as rows of a table."""

from __future__ import annotations

from qcrd.cell import preparation
from qcrd.cell.teacher_accuracy import Yield, yields
from qcrd.errors import DamagedResult
from qcrd.grid.plan.study import Study, last_status, state
from qcrd.grid.results.layout import SettingCells, table_settings
from qcrd.report.model import Table, TableRow
from qcrd.report.paper import counterpart
from qcrd.report.tables import table
from qcrd.report.teachers import teacher_line


def tables(study: Study) -> Table:
    """The grid's table from what is finished now."""
    settings = table_settings(study.grid, study.cells, study.ids)
    compared = {each.setting.group for each in settings if each.setting.base}
    rows = [_row(study, each, each.setting.group in compared) for each in settings]
    names = sorted({planned.cell.task.name for planned in study.cells})
    lines = [
        teacher_line(y.teacher, y.task, y.split, y.m, y.statistics, "table3" in study.grid.paper)
        for y in found_yields(study)
    ]
    return table(rows, study.grid.name, study.preset, ", ".join(names), lines, "cost" in study.grid.columns)


def found_yields(study: Study) -> list[Yield]:
    """What the teachers' answers are worth, for all of the grid's samples that are there."""
    return [found for need, cell in study.needs() for found in yields(cell, study.home, need.m)]


def _row(study: Study, line: SettingCells, compared: bool) -> TableRow:
    """The line's cells; their answers only where they are compared, as those of thousands fill the memory."""
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
            if compared and record.status == "done" and (found := study.home.predictions(record)):
                predictions.append(found["test"])
        elif state(study.home, cell_id) == "failed":
            failed.append(last_status(study.home, cell_id)[1])
        else:
            missing += 1
    cell = next(iter(line.cells.values())).cell
    splits = preparation.load_task(cell.task)[1]
    return TableRow(
        line.setting,
        records,
        n_test=len(splits.test),
        train=len(splits.train),
        method=cell.method,
        failed=failed,
        missing=missing,
        counterpart=counterpart(cell, study.grid.paper, line.setting.factor),
        agreement=cell.rationales.labels == "teacher",
        predictions=predictions,
    )
