"""The plan and the status of a grid, as a JSON object and as text."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from qcrd.cell.data import task_data
from qcrd.config import Task, Teacher
from qcrd.errors import QcrdError
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.console import counted, duration
from qcrd.grid.plan.cell_log import log_path
from qcrd.grid.plan.checkpoints import UsedModel, loading_error, used_models
from qcrd.grid.plan.cost import assumptions, cost
from qcrd.grid.plan.estimate import Estimate, estimate
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.grid.plan.gpus import gpu_count
from qcrd.grid.plan.ineffective import warnings
from qcrd.grid.plan.labels import label_checks
from qcrd.grid.plan.students import student_errors
from qcrd.grid.plan.study import Study, last_status
from qcrd.rationales import prompted_duals
from qcrd.storage import journal

FINISHED = ("done", "diverged")


def plan_object(study: Study) -> dict[str, Any]:
    """The plan of a grid: cells with ids and states, required and missing samples, time and cost.

    `warnings` lists settings without effect. `estimate_seconds` is None if no similar cell has been measured;
    `estimate_basis` says what the estimate covers. `cost` has the remaining FLOP and the GPU hours on some
    cards, under stated assumptions (see `cost`). `models` lists the models that unfinished cells load, with
    the reason if one cannot be loaded.
    """
    cells = [
        {
            "id": cell_id,
            "name": planned.name,
            "method": planned.cell.method.name,
            "seed": planned.cell.settings.seed,
            "state": state,
            "factors": planned.factors,
            "settings": planned.cell.settings.model_dump(mode="json"),
        }
        for planned, cell_id, state in zip(study.cells, study.ids, study.states(), strict=True)
    ]
    needs, keys = _needs(study)
    samples = [
        {
            "task": need.task.name,
            "teacher": need.teacher.name,
            "m": need.m,
            "splits": list(need.splits),
            "duals": need.duals,
            "wanted": wanted,
            "missing": missing,
        }
        for need, wanted, missing in needs
    ]
    label_objects = [
        {
            "task": check.task,
            "questions": check.writable.questions,
            "unwritable": check.writable.lost,
            "cut": check.writable.cut,
            "unwritable_choices": check.writable.lost_choices,
            "refused": check.refused,
            "message": check.summary(),
            "remedy": check.remedy(),
        }
        for check in label_checks((planned.cell.settings for planned in study.cells), fetch=False)
    ]
    todo = [p.cell.settings for p, c in zip(study.cells, cells, strict=True) if c["state"] not in FINISHED]
    time_estimate = estimate(
        todo, [(n, k, m) for (n, _, m), k in zip(needs, keys, strict=True)], study.home, study.grid.resources
    )
    missing_samples: dict[tuple[Task, Teacher], int] = {}
    for need, _, count in needs:
        key = need.task, need.teacher
        missing_samples[key] = missing_samples.get(key, 0) + count
    models = [(model, loading_error(model)) for model in used_models(todo)]
    return {
        "grid": study.grid.name,
        "preset": study.preset,
        "id": study.id,
        "cells": cells,
        "samples": samples,
        "warnings": _warnings(study, [cell["state"] not in FINISHED for cell in cells]),
        "labels": label_objects,
        "estimate_seconds": time_estimate.seconds,
        "estimate_basis": time_estimate.basis,
        "cpu_hours": time_estimate.cpu_hours,
        "gpu_hours": time_estimate.gpu_hours,
        "students": student_errors(todo, fetch=False),
        "cost": cost(todo, missing_samples).as_object(),
        "models": [
            {"role": m.role, "name": m.name, "revision": m.revision, "error": error} for m, error in models
        ],
    }


def _needs(study: Study) -> tuple[list[tuple[SampleNeed, int, int]], list[str]]:
    """The required samples as (need, wanted, missing), and for each the id of its sampler."""
    needs: list[tuple[SampleNeed, int, int]] = []
    keys: list[str] = []
    seen: dict[Path, set[tuple[str, int]]] = {}
    for need, store, requests, missing in itertools.chain(study.samples(), study.duals()):
        if requests is None:  # the requests depend on samples that are not drawn yet
            limit = prompted_duals.MOST * len(task_data(need.task).splits.train)
            needs.append((need, limit, limit))
            keys.append(store.folder.name)
            continue
        before = seen.setdefault(store.folder, set())  # a shared sample counts for the first need
        new = {request.key for request in missing} - before
        before |= new
        needs.append((need, len(requests), len(new)))
        keys.append(store.folder.name)
    return needs, keys


def time_left(study: Study) -> Estimate:
    """The estimated time for the cells of a grid that are not finished.

    Raises:
        DataError: if the data of a task cannot be loaded.
        ConfigError: if the files of a teacher are missing.
    """
    needs, keys = _needs(study)
    todo = [p.cell.settings for p, s in zip(study.cells, study.states(), strict=True) if s not in FINISHED]
    missing = [(need, key, count) for (need, _, count), key in zip(needs, keys, strict=True)]
    return estimate(todo, missing, study.home, study.grid.resources)


def plan_text(plan: dict[str, Any]) -> str:
    """The text of a `plan_object`."""
    width = max(len(cell["name"]) for cell in plan["cells"])
    lines = [f"{plan['grid']}, preset {plan['preset']}: {counted(len(plan['cells']), 'cell')}", ""]
    lines += [f"  {cell['id']}  {cell['name']:<{width}}  {cell['state']}" for cell in plan["cells"]]
    lines.append("")
    for need in plan["samples"]:
        task = f"{need['task']} ({', '.join(need['splits'])}, m = {need['m']})"
        kind, bound = ("dual rationales", "up to ") if need["duals"] else ("samples", "")
        lines.append(
            f"{kind} of {need['teacher']} for {task}: {bound}{need['missing']} of {need['wanted']} to draw"
        )
    lines += [f"warning: {warning}" for warning in plan["warnings"]]
    for check in plan["labels"]:
        if check["remedy"]:
            refused = "; `qcrd run` refuses that" if check["refused"] else ""
            lines.append(f"labels of {check['task']}: {check['message']}{refused}: {check['remedy']}")
    unfinished = sum(cell["state"] not in FINISHED for cell in plan["cells"])
    seconds = plan["estimate_seconds"]
    if not unfinished:
        lines.append("nothing left to do")
    elif seconds is None:
        lines.append(f"{counted(unfinished, 'cell')} to train; {plan['estimate_basis']}")
    else:
        todo = counted(unfinished, "cell")
        lines.append(f"{todo} to train: about {duration(seconds)} ({plan['estimate_basis']})")
        totals = ((plan["gpu_hours"], "GPU"), (plan["cpu_hours"], "CPU"))
        hours = ", ".join(f"{_rounded(number)} {unit} hours" for number, unit in totals if number)
        lines.append(f"in total {hours}")
    if unfinished and plan["preset"] == "paper":
        cards = ", ".join(f"{hours:,.3g} {card}" for card, hours in plan["cost"]["gpu_hours"].items())
        uncounted = ", ".join(plan["cost"]["uncounted"])
        lines.append(f"GPU hours of one card: {cards}{f'; not counted: {uncounted}' if uncounted else ''}")
        lines.append(assumptions())
    lines += [f"`qcrd run` refuses a model: {error}" for error in plan["students"]]
    for model in plan["models"]:
        if model["error"]:
            name = UsedModel(model["role"], model["name"], model["revision"])
            lines.append(f"{name}: {model['error']}")
    return "\n".join(lines)


def _rounded(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.2g}"


def _warnings(study: Study, todo: list[bool]) -> list[str]:
    tasks = {planned.cell.data for planned in study.cells}
    train = {data.settings: len(data.splits.train) for data in tasks}
    return [*warnings(study.cells, todo, study.home, train), *_too_large(study)]


def _too_large(study: Study) -> Iterator[str]:
    """The resources that this machine does not have, unless a cluster is to run the grid."""
    if os.environ.get("RAY_ADDRESS"):
        return
    try:
        Shares.of(study.grid.resources, [Node(os.cpu_count() or 1, gpu_count())])
    except QcrdError as error:
        yield f"`qcrd run` refuses this on this machine: {error}"


def status_text(study: Study) -> str:
    """Number of cells per state, and the progress of running cells."""
    states = study.states()
    counts = Counter(states)
    order = ("done", "diverged", "failed", "running", "interrupted", "planned")
    lines = [
        f"{study.grid.name}, preset {study.preset}: "
        + ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    ]
    for planned, cell_id, state in zip(study.cells, study.ids, states, strict=True):
        if state in ("running", "interrupted"):
            progress = _cell_progress(study, cell_id, planned.cell.settings.training.steps)
            lines.append(f"  {state}: {planned.name}: {progress}")
        elif state in ("failed", "diverged"):
            reason = last_status(study.home, cell_id)[1].partition("\n")[0]
            lines.append(f"  {state}: {planned.name}: {reason} (log: {log_path(study.home, cell_id)})")
    return "\n".join(lines)


def _cell_progress(study: Study, cell_id: str, steps: int) -> str:
    step = 0
    latest: dict[str, float] = {}
    for event in journal.read(study.home.cell(cell_id) / journal.FILE):
        if isinstance(event, journal.Metrics):
            step = max(step, event.step)
            latest |= event.values
    text = f"step {step}/{steps}"
    if "loss/total" in latest:
        text += f", loss {latest['loss/total']:.3f}"
    if "accuracy/validation" in latest:
        text += f", validation {latest['accuracy/validation']:.1f}%"
    return text
