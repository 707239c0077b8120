"""A study's cells as MLflow runs."""

from __future__ import annotations

from typing import Any

from qcrd.cell.base import Base, base_of
from qcrd.cell.resolved import ResolvedCell
from qcrd.grid.plan.expansion import VARIANT, PlannedCell
from qcrd.grid.plan.factors import get_setting, setting_paths, short_name, value_text
from qcrd.grid.plan.study import Study
from qcrd.report.colours import colour
from qcrd.teacher.engines import ENGINES
from qcrd.tracking.mlflow.mirror import Mirror
from qcrd.tracking.mlflow.page import NOTE
from qcrd.tracking.mlflow.source import Data, Source
from qcrd.tracking.mlflow.students import Student
from qcrd.tracking.mlflow.view import SETTING
from qcrd.types import CellRecord

COLOUR = "mlflow.runColor"  # tag that MLflow's page reads

SECTIONS = ("contrastive", "selfplay", "discriminator", "training", "student")

_TO_SERVE = (
    "`mlflow models serve -m models:/MODEL_ID --env-manager local` serves the student on loopback, "
    "without authentication."
)


def mirror(study: Study, tracking: str, live: bool = True) -> Mirror:
    """A mirror of the study's journals at an MLflow server.

    Args:
        study: the grid.
        tracking: MLflow's tracking URI.
        live: whether cells may be running.
    """
    factors = [*study.grid.product, *study.grid.sweep]
    if study.grid.variants:
        factors.insert(0, VARIANT)
    names = [short_name(path) for path in factors]
    grid_mirror = Mirror(tracking, study.grid.name, *sources(study), live, names)
    grid_mirror.offer(students(study))
    return grid_mirror


def students(study: Study) -> dict[str, Student]:
    """The students to log to MLflow, by cell id; {} until all cells have ended.

    `resources.log_students: best` selects, per task, the student with the highest validation accuracy, the
    first in case of ties. Test accuracy is not used.
    """
    records = [record for cell_id in study.ids if (record := study.home.record(cell_id)) is not None]
    if study.grid.resources.log_students == "none" or len(records) < len(study.ids):
        return {}
    best_only = study.grid.resources.log_students == "best"
    done = [pair for pair in zip(study.cells, records, strict=True) if pair[1].status == "done"]
    if best_only:
        done.sort(key=lambda pair: -pair[1].accuracy["validation"])
    by_cell: dict[str, Student] = {}
    logged_tasks: set[str] = set()  # tasks whose best student has been selected
    for planned, record in done:
        task = planned.cell.settings.task.name
        if best_only and task in logged_tasks:  # do not download further students
            continue
        folder = study.home.student(record.id)
        if folder.is_dir():
            logged_tasks.add(task)
            base = base_of(planned.cell.settings.student, record.versions)
            params = {"method": planned.cell.method.name, "task": task, "base": base.name}
            if base.commit is not None:
                params["base_commit"] = base.commit
            adapter = planned.cell.settings.student.adapter
            if adapter is not None:
                params["adapter"] = f"LoRA r={adapter.r}"
            by_cell[record.id] = Student(
                planned.name,
                folder.parent / "cell.json",
                folder,
                record.chosen_step,
                params,
                _student_tags(record, base if adapter is not None else None),
                base if adapter is not None else None,
            )
    return by_cell


def _student_tags(record: CellRecord, base: Base | None) -> dict[str, str]:
    """Tags of a student; `base` is that of an adapter."""
    test, validation = (f"{record.accuracy[split]:.2f}" for split in ("test", "validation"))
    accuracy_text = f"{test}% accuracy on test, {validation}% on validation, at step {record.chosen_step}."
    adapter = f"A LoRA adapter; its base is loaded beside it: {base}. " if base is not None else ""
    return {"qcrd.test": test, "qcrd.validation": validation, NOTE: f"{accuracy_text} {adapter}{_TO_SERVE}"}


def sources(study: Study) -> tuple[Source, list[Source]]:
    """The grid's run and its cells' runs for MLflow."""
    tags = {"qcrd.preset": study.preset}
    parent = Source(
        study.id,
        f"{study.grid.name} {study.preset}",
        study.folder,
        params={"preset": study.preset, "cells": len(study.cells)},
        tags={**tags, "mlflow.note.content": study.grid.description},
    )
    cells = []
    numbers: dict[str, int] = {}  # of settings, whose seeds share a colour
    for planned in study.cells:
        cell, settings = planned.cell, planned.cell.settings
        setting = planned.name.removesuffix(f" seed={settings.seed}")
        cell_tags = {
            "qcrd.method": settings.method,
            "qcrd.seed": str(settings.seed),
            "qcrd.task": settings.task.name,
            SETTING: setting,
            COLOUR: colour(numbers.setdefault(setting, len(numbers))),
        }
        if cell.method.contrasts:
            cell_tags["qcrd.scheme"] = settings.contrastive.scheme
        folder = study.home.cell(cell.id)
        data, params = _datasets(cell), _params(planned)
        cells.append(Source(cell.id, planned.name, folder, params, {**tags, **cell_tags}, data))
    return parent, cells


def _params(planned: PlannedCell) -> dict[str, Any]:
    """Parameters to compare runs by: flat, with short names, the most important first.

    Contains only settings that the cell's result depends on, which are those in its identity.
    """
    cell, settings, identity = planned.cell, planned.cell.settings, planned.cell.identity
    names = ["method", "seed", "task.name", "rationales.labels"]
    if "rationales" in identity:
        names.append("rationales.m" if cell.method.votes else "rationales.baseline_m")
    names += [f"{section}.{name}" for section in SECTIONS for name in identity.get(section, {})]
    names = [name for name in names if name in setting_paths() and name != "student.tokenizer"]
    params: dict[str, Any] = {short_name(name): value_text(get_setting(settings, name)) for name in names}
    params |= {split: len(getattr(cell.splits, split)) for split in ("train", "validation", "test")}
    # The effective selection, whose defaults depend on the method.
    selection = cell.method.selection(settings.selection)
    params |= {
        short_name(f"selection.{k}"): value_text(getattr(selection, k)) for k in identity.get("selection", {})
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
    # Leave out factors that a cell has with several values: they make no difference to it.
    unambiguous = [
        p for p, v in planned.factors.items() if all(row.factors.get(p, v) == v for row in planned.rows)
    ]
    return params | {short_name(p): value_text(planned.factors[p]) for p in unambiguous} | params


def _datasets(cell: ResolvedCell) -> tuple[Data, ...]:
    section, digest = cell.data.settings, cell.data.fingerprint
    settings = section.model_dump_json(exclude_defaults=True)
    return tuple(
        Data(f"{section.name} {split}", context, digest, settings, len(getattr(cell.splits, split)))
        for split, context in (("train", "training"), ("validation", "validation"), ("test", "testing"))
    )
