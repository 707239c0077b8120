"""A study's cells as rows of a table, and as runs for MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qcrd import pipeline
from qcrd.config import Cell
from qcrd.files import read_json
from qcrd.grid.factors import get, short, show
from qcrd.grid.plan import PlannedCell
from qcrd.grid.plan import Row as Place
from qcrd.grid.study import Study, last_status, state
from qcrd.methods import METHODS
from qcrd.report.tables import Row, Table, table
from qcrd.student.trainer import PREDICTIONS
from qcrd.tracking.mlflow import Source
from qcrd.types import Prediction

ALWAYS = ("method", "seed", "labels", "batch", "steps", "lr")  # short names of parameters of every run
BY_USE = {
    "m": ("rationales.m",),
    "baseline_m": ("rationales.baseline_m",),
    "contrastive": ("contrastive.scheme", "contrastive.beta", "contrastive.delta"),
    "selfplay": ("selfplay.k", "selfplay.tau"),
    "discriminator": ("discriminator.enabled",),
}


def tables(study: Study) -> Table:
    """The grid's table from what is finished now."""
    rows = [_row(study, *key, cells) for key, cells in _places(study)]
    names = sorted({planned.cell.task.name for planned in study.cells})
    return table(rows, study.grid.name, study.preset, ", ".join(names))


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
    for planned, cell_id in zip(study.cells, study.ids, strict=True):
        cell = planned.cell
        own = {"qcrd.method": cell.method, "qcrd.seed": str(cell.seed), "qcrd.task": cell.task.name}
        if "contrastive" in METHODS[cell.method].uses:
            own["qcrd.scheme"] = cell.contrastive.scheme
        folder = study.home.cell(cell_id)
        cells.append(Source(cell_id, planned.name, folder, _params(planned), {**tags, **own}))
    return parent, cells


def _params(planned: PlannedCell) -> dict[str, Any]:
    """What a person compares runs by: flat, short, and only what the method reads."""
    cell = planned.cell
    paths = ["method", "seed", "task.name", "rationales.labels"]
    paths += [p for use, group in BY_USE.items() if use in METHODS[cell.method].uses for p in group]
    paths += ["training.steps", "training.batch", "training.lr", *planned.factors]
    params = {short(path): show(get(cell, path)) for path in dict.fromkeys(paths)}
    params["student"] = cell.student.checkpoint or f"T5 {cell.student.architecture.d_model} (random)"
    if pipeline.teacher_samples(cell):
        params["teacher"] = cell.teacher.model if cell.teacher.engine == "vllm" else "recorded"
    return params


def _places(study: Study) -> Iterator[tuple[tuple[str, str, bool], list[tuple[PlannedCell, str]]]]:
    """(group, label, base) with its cells over the seeds, groups together in the grid's order."""
    found: dict[tuple[str, str, bool], list[tuple[PlannedCell, str]]] = {}
    swept = bool(study.grid.sweep)
    for planned, cell_id in zip(study.cells, study.ids, strict=True):
        base = any(place.factor is None for place in planned.rows)
        for place in planned.rows:
            if place.factor is None and swept and len(planned.rows) > 1:
                continue  # the base of a sweep stands in the section of every factor
            group, label = _label(planned.cell, place)
            found.setdefault((group, label, base and swept), []).append((planned, cell_id))
    order = list(dict.fromkeys(group for group, _, _ in found))
    written = {path: i for i, path in enumerate([*study.grid.sweep])}
    order.sort(key=lambda group: written.get(group.split(" ")[-1], -1))
    keys = sorted(found, key=lambda key: (order.index(key[0]), _rank(study, key)))
    return ((key, found[key]) for key in keys)


def _rank(study: Study, key: tuple[str, str, bool]) -> int:
    """Place of a swept value in the grid's list, so that a section is in the user's order."""
    for name, values in study.grid.sweep.items():
        if short(name) == key[0].split(" ")[-1]:
            labels = [show(value) for value in values]
            number = [show(float(v)) if isinstance(v, int) and not isinstance(v, bool) else v for v in values]
            return next((i for i, pair in enumerate(zip(labels, number, strict=True)) if key[1] in pair), 0)
    return 0


def _label(cell: Cell, place: Place) -> tuple[str, str]:
    combination = " ".join(_shown(cell, path) for path in place.product)
    if place.factor is None:
        return "", combination or "base"
    group = short(place.factor)
    return (f"{combination} {group}".strip(), show(get(cell, place.factor)))


def _shown(cell: Cell, path: str) -> str:
    value = show(get(cell, path))
    return value if path == "method" else f"{short(path)}={value}"


def _row(study: Study, group: str, label: str, base: bool, cells: list[tuple[PlannedCell, str]]) -> Row:
    records, failed, predictions, missing = [], [], [], 0
    for _, cell_id in cells:
        record = study.home.record(cell_id)
        if record is not None:
            records.append(record)
            found = read_json(study.home.cell(cell_id) / PREDICTIONS)
            if record.status == "done" and found:
                predictions.append([Prediction(**p) for p in found["test"]])
        elif state(study.home, cell_id) == "failed":
            failed.append(last_status(study.home, cell_id)[1])
        else:
            missing += 1
    questions = len(pipeline.load_task(cells[0][0].cell.task)[1].test)
    return Row(group, label, records, questions, failed, missing, base, None, predictions)
