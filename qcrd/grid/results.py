"""A study's cells as rows of a table, and as runs for MLflow."""

from __future__ import annotations

from typing import Any

from qcrd import preparation
from qcrd.errors import DamagedResult
from qcrd.grid.factors import get, paths, short, show
from qcrd.grid.layout import Place, places
from qcrd.grid.plan import VARIANT, PlannedCell
from qcrd.grid.study import Study, last_status, state
from qcrd.methods import METHODS
from qcrd.report.paper import counterpart
from qcrd.report.tables import Row, Table, table
from qcrd.report.teachers import teacher_line
from qcrd.teacher.engines import ENGINES
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.source import Source
from qcrd.tracking.mlflow.view import SETTING
from qcrd.yields import Yield, yields

SECTIONS = ("contrastive", "selfplay", "discriminator", "training", "student")


def tables(study: Study) -> Table:
    """The grid's table from what is finished now."""
    rows = [_row(study, place) for place in places(study.grid, study.cells, study.ids)]
    names = sorted({planned.cell.task.name for planned in study.cells})
    lines = [
        teacher_line(y.teacher, y.task, y.split, y.m, y.statistics, "table3" in study.grid.paper)
        for y in found_yields(study)
    ]
    return table(rows, study.grid.name, study.preset, ", ".join(names), lines, "cost" in study.grid.columns)


def found_yields(study: Study) -> list[Yield]:
    """What the teachers' answers are worth, for all of the grid's samples that are there."""
    return [found for need, cell in study.needs() for found in yields(cell, study.home, need.m)]


def mirror(study: Study, tracking: str, live: bool = True) -> Mirror:
    """What brings the study's journals to the MLflow server at `tracking`; `live`: cells may be running."""
    varied = [*study.grid.product, *study.grid.sweep]
    if study.grid.variants:
        varied.insert(0, VARIANT)
    return Mirror(tracking, study.grid.name, *sources(study), live, [short(path) for path in varied])


def sources(study: Study) -> tuple[Source, list[Source]]:
    """The grid and its cells as runs for MLflow."""
    tags = {"qcrd.preset": study.preset}
    parent = Source(
        study.id,
        f"{study.grid.name} {study.preset}",
        study.folder,
        params={"preset": study.preset, "cells": len(study.cells)},
        tags={**tags, "mlflow.note.content": study.grid.description},
    )
    cells = []
    for planned, cell_id, identity in zip(study.cells, study.ids, study.identities, strict=True):
        cell = planned.cell
        own = {"qcrd.method": cell.method, "qcrd.seed": str(cell.seed), "qcrd.task": cell.task.name}
        own[SETTING] = planned.name.removesuffix(f" seed={cell.seed}")
        if "contrastive" in METHODS[cell.method].uses:
            own["qcrd.scheme"] = cell.contrastive.scheme
        folder = study.home.cell(cell_id)
        cells.append(Source(cell_id, planned.name, folder, _params(planned, identity), {**tags, **own}))
    return parent, cells


def _params(planned: PlannedCell, identity: dict[str, Any]) -> dict[str, Any]:
    """What a person compares runs by: flat, short, the most telling first.

    Only what the cell's result depends on, which is what its identity has.
    """
    cell = planned.cell
    names = ["method", "seed", "task.name", "rationales.labels"]
    if "rationales" in identity:
        names.append("rationales.m" if "m" in METHODS[cell.method].uses else "rationales.baseline_m")
    names += [f"{section}.{name}" for section in SECTIONS for name in identity.get(section, {})]
    names = [name for name in names if name in paths() and name != "student.tokenizer"]
    params = {short(name): show(get(cell, name)) for name in names}
    _, splits = preparation.load_task(cell.task)
    params |= {split: len(getattr(splits, split)) for split in ("train", "validation", "test")}
    # As it is in force, which its own settings may leave to the method.
    chosen = METHODS[cell.method].selection(cell.selection)
    params |= {short(f"selection.{k}"): show(getattr(chosen, k)) for k in identity.get("selection", {})}
    params["student"] = cell.student.checkpoint or f"T5 {cell.student.architecture.d_model} (random)"
    teacher = cell.teacher
    if "rationales" in identity:
        params["denoise"] = identity["rationales"]["denoise"]
        draws = ENGINES[teacher.engine].draws
        params["teacher"] = teacher.model if draws else teacher.engine
        if draws:
            params["temperature"] = show(teacher.temperature)
    # A factor that one cell has with several values makes no difference to it.
    alike = [p for p, v in planned.factors.items() if all(row.factors.get(p, v) == v for row in planned.rows)]
    return params | {short(p): show(planned.factors[p]) for p in alike} | params


def _row(study: Study, place: Place) -> Row:
    records, failed, predictions, missing = [], [], [], 0
    for cell_id in place.cells:
        record = study.home.record(cell_id)
        try:
            study.home.check_result(cell_id)
        except DamagedResult as error:
            failed.append(str(error))
            continue
        if record is not None:
            records.append(record)
            found = study.home.predictions(record) if record.status == "done" else {}
            if found:
                predictions.append(found["test"])
        elif state(study.home, cell_id) == "failed":
            failed.append(last_status(study.home, cell_id)[1])
        else:
            missing += 1
    cell = next(iter(place.cells.values())).cell
    splits = preparation.load_task(cell.task)[1]
    published = counterpart(cell, study.grid.paper, place.factor)
    return Row(
        group=place.group,
        label=place.label,
        records=records,
        n_test=len(splits.test),
        failed=failed,
        missing=missing,
        base=place.base,
        published=published.figure if published else None,
        comparable=published.comparable if published else True,
        source=published.source if published else "",
        agreement=cell.rationales.labels == "teacher",
        predictions=predictions,
        factor=place.factor,
        method=cell.method,
        train=len(splits.train),
    )
