"""A study's cells as runs for MLflow."""

from __future__ import annotations

from typing import Any

from qcrd.cell.resolved import ResolvedCell
from qcrd.grid.plan.expansion import VARIANT, PlannedCell
from qcrd.grid.plan.factors import get_setting, setting_paths, short_name, value_text
from qcrd.grid.plan.study import Study
from qcrd.teacher.engines import ENGINES
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.page import NOTE
from qcrd.tracking.mlflow.source import Data, Source
from qcrd.tracking.mlflow.students import Student
from qcrd.tracking.mlflow.view import SETTING
from qcrd.types import CellRecord

SECTIONS = ("contrastive", "selfplay", "discriminator", "training", "student")

_TO_SERVE = (
    "`mlflow models serve -m models:/MODEL_ID --env-manager local` answers questions on loopback; it asks "
    "nobody for a password."
)


def mirror(study: Study, tracking: str, live: bool = True) -> Mirror:
    """What brings the study's journals to the MLflow server at `tracking`; `live`: cells may be running."""
    varied = [*study.grid.product, *study.grid.sweep]
    if study.grid.variants:
        varied.insert(0, VARIANT)
    names = [short_name(path) for path in varied]
    found = Mirror(tracking, study.grid.name, *sources(study), live, names)
    found.offer(students(study))
    return found


def students(study: Study) -> dict[str, Student]:
    """The students that MLflow gets, by cell; none before all cells have ended.

    `resources.log_students: best` is of each task the one with the highest validation accuracy, the first of
    equals; test is not looked at.
    """
    records = [record for cell_id in study.ids if (record := study.home.record(cell_id)) is not None]
    if study.grid.resources.log_students == "none" or len(records) < len(study.ids):
        return {}
    best = study.grid.resources.log_students == "best"
    both = [pair for pair in zip(study.cells, records, strict=True) if pair[1].status == "done"]
    if best:
        both.sort(key=lambda pair: -pair[1].accuracy["validation"])
    found: dict[str, Student] = {}
    chosen: set[str] = set()  # tasks that have their best
    for planned, record in both:
        task = planned.cell.settings.task.name
        if best and task in chosen:  # its student need not even be fetched
            continue
        folder = study.home.student(record.id)
        if folder.is_dir():
            chosen.add(task)
            found[record.id] = Student(
                planned.name,
                folder.parent / "cell.json",
                folder,
                record.chosen_step,
                {"method": planned.cell.method.name, "task": task},
                _student_tags(record),
            )
    return found


def _student_tags(record: CellRecord) -> dict[str, str]:
    test, validation = (f"{record.accuracy[split]:.2f}" for split in ("test", "validation"))
    said = f"{test}% of the test questions right, {validation}% on validation, at step {record.chosen_step}."
    return {"qcrd.test": test, "qcrd.validation": validation, NOTE: f"{said} {_TO_SERVE}"}


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
    for planned in study.cells:
        cell, settings = planned.cell, planned.cell.settings
        own = {
            "qcrd.method": settings.method,
            "qcrd.seed": str(settings.seed),
            "qcrd.task": settings.task.name,
            SETTING: planned.name.removesuffix(f" seed={settings.seed}"),
        }
        if cell.method.contrasts:
            own["qcrd.scheme"] = settings.contrastive.scheme
        folder = study.home.cell(cell.id)
        data, params = _data(cell), _params(planned)
        cells.append(Source(cell.id, planned.name, folder, params, {**tags, **own}, data))
    return parent, cells


def _params(planned: PlannedCell) -> dict[str, Any]:
    """What a person compares runs by: flat, short, the most telling first.

    Only what the cell's result depends on, which is what its identity has.
    """
    cell, settings, identity = planned.cell, planned.cell.settings, planned.cell.identity
    names = ["method", "seed", "task.name", "rationales.labels"]
    if "rationales" in identity:
        names.append("rationales.m" if cell.method.votes else "rationales.baseline_m")
    names += [f"{section}.{name}" for section in SECTIONS for name in identity.get(section, {})]
    names = [name for name in names if name in setting_paths() and name != "student.tokenizer"]
    params: dict[str, Any] = {short_name(name): value_text(get_setting(settings, name)) for name in names}
    params |= {split: len(getattr(cell.splits, split)) for split in ("train", "validation", "test")}
    # As it is in force, which its own settings may leave to the method.
    in_force = cell.method.selection(settings.selection)
    params |= {
        short_name(f"selection.{k}"): value_text(getattr(in_force, k)) for k in identity.get("selection", {})
    }
    student, teacher = settings.student, settings.teacher
    architecture = student.architecture
    family = "T5" if architecture.family == "t5" else architecture.family
    params["student"] = student.checkpoint or f"{family} {architecture.d_model} (random)"
    if student.adapter is not None:
        params["student"] += f", LoRA r={student.adapter.r}"
    if "rationales" in identity:
        params["denoise"] = identity["rationales"]["denoise"]
        draws = ENGINES[teacher.engine].draws
        params["teacher"] = teacher.model if draws else teacher.engine
        if draws:
            params["temperature"] = value_text(teacher.temperature)
    # A factor that one cell has with several values makes no difference to it.
    alike = [p for p, v in planned.factors.items() if all(row.factors.get(p, v) == v for row in planned.rows)]
    return params | {short_name(p): value_text(planned.factors[p]) for p in alike} | params


def _data(cell: ResolvedCell) -> tuple[Data, ...]:
    section, digest = cell.data.settings, cell.data.fingerprint
    settings = section.model_dump_json(exclude_defaults=True)
    return tuple(
        Data(f"{section.name} {split}", context, digest, settings, len(getattr(cell.splits, split)))
        for split, context in (("train", "training"), ("validation", "validation"), ("test", "testing"))
    )
