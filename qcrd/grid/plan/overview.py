"""A grid before and while it runs, as an object for programs and as text for people."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path
from typing import Any

from qcrd.cell.data import task_data
from qcrd.config import Task, Teacher
from qcrd.grid.console import duration
from qcrd.grid.plan.checkpoints import Named, named, trouble
from qcrd.grid.plan.cost import basis, cost
from qcrd.grid.plan.estimate import estimate
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.grid.plan.idle import warnings
from qcrd.grid.plan.labels import labels
from qcrd.grid.plan.study import Study, last_status
from qcrd.rationales import prompted_duals
from qcrd.storage import journal

FINISHED = ("done", "diverged")


def plan_object(study: Study) -> dict[str, Any]:
    """Cells with ids and states, samples wanted and missing, and the time left.

    `warnings` are settings that cannot matter. `estimate_seconds` is None where nothing alike was measured;
    `estimate_basis` says what it is of. `cost` is what is left in FLOP and in GPU hours of named cards, by
    assumption (see `grid.cost`). `models` are those that cells load, with what would keep them from it.
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
    needs: list[tuple[SampleNeed, int, int]] = []
    keys: list[str] = []
    seen: dict[Path, set[tuple[str, int]]] = {}
    for need, store, requests, missing in itertools.chain(study.samples(), study.duals()):
        if requests is None:  # what will be asked hangs on answers that are not there yet
            most = prompted_duals.MOST * len(task_data(need.task).splits.train)
            needs.append((need, most, most))
            keys.append(store.folder.name)
            continue
        counted = seen.setdefault(store.folder, set())  # what needs share is drawn for the first of them
        fresh = {request.key for request in missing} - counted
        counted |= fresh
        needs.append((need, len(requests), len(fresh)))
        keys.append(store.folder.name)
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
    written = [
        {
            "task": each.task,
            "questions": each.found.questions,
            "unwritable": each.found.lost,
            "cut": each.found.cut,
            "unwritable_choices": each.found.lost_choices,
            "refused": each.refused,
            "message": each.sentence(),
            "remedy": each.remedy(),
        }
        for each in labels((planned.cell.settings for planned in study.cells), fetch=False)
    ]
    todo = [p.cell.settings for p, c in zip(study.cells, cells, strict=True) if c["state"] not in FINISHED]
    time = estimate(
        todo, [(n, k, m) for (n, _, m), k in zip(needs, keys, strict=True)], study.home, study.grid.resources
    )
    lacking: dict[tuple[Task, Teacher], int] = {}
    for need, _, count in needs:
        key = need.task, need.teacher
        lacking[key] = lacking.get(key, 0) + count
    models = [(model, trouble(model)) for model in named(todo)]
    return {
        "grid": study.grid.name,
        "preset": study.preset,
        "id": study.id,
        "cells": cells,
        "samples": samples,
        "warnings": _warnings(study, [cell["state"] not in FINISHED for cell in cells]),
        "labels": written,
        "estimate_seconds": time.seconds,
        "estimate_basis": time.basis,
        "cpu_hours": time.cpu_hours,
        "gpu_hours": time.gpu_hours,
        "cost": cost(todo, lacking).as_object(),
        "models": [
            {"what": m.what, "name": m.place, "revision": m.revision, "trouble": found} for m, found in models
        ],
    }


def plan_text(plan: dict[str, Any]) -> str:
    """`plan_object` for people."""
    width = max(len(cell["name"]) for cell in plan["cells"])
    lines = [f"{plan['grid']}, preset {plan['preset']}: {len(plan['cells'])} cells", ""]
    lines += [f"  {cell['id']}  {cell['name']:<{width}}  {cell['state']}" for cell in plan["cells"]]
    lines.append("")
    for need in plan["samples"]:
        of = f"{need['task']} ({', '.join(need['splits'])}, m = {need['m']})"
        kind, most = ("dual rationales", "up to ") if need["duals"] else ("samples", "")
        lines.append(
            f"{kind} of {need['teacher']} for {of}: {most}{need['missing']} of {need['wanted']} to draw"
        )
    lines += [f"warning: {warning}" for warning in plan["warnings"]]
    for found in plan["labels"]:
        if found["remedy"]:
            refused = "; `qcrd run` refuses that" if found["refused"] else ""
            lines.append(f"labels of {found['task']}: {found['message']}{refused}: {found['remedy']}")
    left = sum(cell["state"] not in FINISHED for cell in plan["cells"])
    seconds = plan["estimate_seconds"]
    if not left:
        lines.append("nothing left to do")
    elif seconds is None:
        lines.append(f"{left} cells to train; {plan['estimate_basis']}")
    else:
        lines.append(f"{left} cells to train: about {duration(seconds)} ({plan['estimate_basis']})")
        hours = ((plan["gpu_hours"], "GPU"), (plan["cpu_hours"], "CPU"))
        lines.append("in all " + ", ".join(f"{each:.2g} {what} hours" for each, what in hours if each))
    if left and plan["preset"] == "paper":
        cards = ", ".join(f"{each:,.3g} {card}" for card, each in plan["cost"]["gpu_hours"].items())
        left_out = ", ".join(plan["cost"]["uncounted"])
        lines.append(f"GPU hours of one card: {cards}{f'; not counted: {left_out}' if left_out else ''}")
        lines.append(basis())
    for model in plan["models"]:
        if model["trouble"]:
            name = Named(model["what"], model["name"], model["revision"])
            lines.append(f"{name}: {model['trouble']}")
    return "\n".join(lines)


def _warnings(study: Study, todo: list[bool]) -> list[str]:
    tasks = {planned.cell.data for planned in study.cells}
    train = {data.settings: len(data.splits.train) for data in tasks}
    return warnings(study.cells, todo, study.home, train)


def status_text(study: Study) -> str:
    """How many cells are in which state, and where the running ones are."""
    states = study.states()
    counts = Counter(states)
    order = ("done", "diverged", "failed", "running", "interrupted", "planned")
    lines = [
        f"{study.grid.name}, preset {study.preset}: "
        + ", ".join(f"{counts[name]} {name}" for name in order if counts[name])
    ]
    for planned, cell_id, state in zip(study.cells, study.ids, states, strict=True):
        if state in ("running", "interrupted"):
            lines.append(
                f"  {state}: {planned.name}: {_where(study, cell_id, planned.cell.settings.training.steps)}"
            )
        elif state in ("failed", "diverged"):
            lines.append(f"  {state}: {planned.name}: {last_status(study.home, cell_id)[1]}")
    return "\n".join(lines)


def _where(study: Study, cell_id: str, steps: int) -> str:
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
