"""A study's cells as rows of a table, and as runs for MLflow."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from qcrd import pipeline
from qcrd.config import Cell
from qcrd.files import read_json
from qcrd.grid.factors import get, short, show
from qcrd.grid.layout import Place, places
from qcrd.grid.plan import PlannedCell
from qcrd.grid.study import Study, last_status, state
from qcrd.methods import METHODS
from qcrd.report.paper import counterpart
from qcrd.report.tables import Row, Table, table
from qcrd.student.trainer import PREDICTIONS
from qcrd.tracking.mlflow import Source
from qcrd.types import Prediction

MODEL = ("checkpoint", "revision", "tokenizer", "architecture")  # settings that name a network


def tables(study: Study) -> Table:
    """The grid's table from what is finished now."""
    rows = [_row(study, place) for place in places(study.grid, study.cells, study.ids)]
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
    """What a person compares runs by: flat, short, the most telling first, and only what the method reads."""
    cell = planned.cell
    read = list(_read(cell))
    params = {short(path): show(get(cell, path)) for path in read}
    _, splits = pipeline.load_task(cell.task)
    params |= {split: len(getattr(splits, split)) for split in ("train", "validation", "test")}
    params["student"] = cell.student.checkpoint or f"T5 {cell.student.architecture.d_model} (random)"
    also = {"task", "student"}
    if pipeline.teacher_samples(cell):
        vllm = cell.teacher.engine == "vllm"
        params["denoise"] = METHODS[cell.method].denoise(cell.rationales)
        params["teacher"] = cell.teacher.model if vllm else "recorded"
        if vllm:
            params["temperature"] = show(cell.teacher.temperature)
        also.add("teacher")
    if "discriminator.loss" in read:
        also.add("discriminator")
    varied = {p: v for p, v in planned.factors.items() if p in read or p.partition(".")[0] in also}
    return params | {short(path): show(value) for path, value in varied.items()}


def _read(cell: Cell) -> Iterator[str]:
    """Settings that the cell's method reads, as dotted paths."""
    uses = METHODS[cell.method].uses
    yield from ("method", "seed", "task.name", "rationales.labels")
    if "contrastive" in uses:
        yield from _fields(cell, "contrastive")
    if pipeline.teacher_samples(cell):
        yield "rationales.m" if "m" in uses else "rationales.baseline_m"
    if "selfplay" in uses:
        yield from ("selfplay.k", "selfplay.tau", "selfplay.lag") if cell.selfplay.k else ("selfplay.k",)
    if "discriminator" in uses:
        yield from _fields(cell, "discriminator") if cell.discriminator.enabled else ["discriminator.enabled"]
    yield from _fields(cell, "training")
    yield from _fields(cell, "student")


def _fields(cell: Cell, section: str) -> list[str]:
    names = type(getattr(cell, section)).model_fields
    return [f"{section}.{name}" for name in names if name not in MODEL]


def _row(study: Study, place: Place) -> Row:
    records, failed, predictions, missing = [], [], [], 0
    for cell_id in place.cells:
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
    cell = next(iter(place.cells.values())).cell
    published = counterpart(cell, place.factor)
    return Row(
        place.group,
        place.label,
        records,
        len(pipeline.load_task(cell.task)[1].test),
        failed,
        missing,
        place.base,
        published.figure if published else None,
        published.comparable if published else True,
        cell.rationales.labels == "teacher",
        predictions,
    )
