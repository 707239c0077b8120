"""Checks of a grid's requirements: data, models, engines, CPUs and GPUs."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.resolved import ResolvedCell
from qcrd.config import Cell, Teacher
from qcrd.doctor import models, web
from qcrd.doctor.check import Check, error, from_error, ok, warning
from qcrd.errors import QcrdError
from qcrd.grid.cluster.capacity import Capacity, capacity_error
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.plan.changes import NO_CHANGES, Changes
from qcrd.grid.plan.checkpoints import used_models
from qcrd.grid.plan.expansion import SampleNeed
from qcrd.grid.plan.labels import label_checks
from qcrd.grid.plan.students import student_errors
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home
from qcrd.student.tokenizer import load_tokenizer
from qcrd.tasks import shots
from qcrd.teacher.engines import ENGINES, recorded_answers


def needs(
    grid: Path, home: Home, preset: str | None, nodes: Sequence[Node], changes: Changes = NO_CHANGES
) -> Iterator[Check]:
    """Check every requirement of a grid.

    Args:
        grid: its YAML file.
        home: where samples are stored.
        preset: overrides the file's preset.
        nodes: nodes of the cluster, or this machine.
        changes: changes of the file from the command line.
    """
    gpus = sum(node.gpus for node in nodes)
    try:
        study = Study.open(grid, home, preset, gpus, changes)
    except QcrdError as trouble:
        yield from_error("grid", trouble)
        return
    yield ok("grid", f"{study.grid.name}: {len(study.cells)} cells, preset {study.preset}")
    yield resources(study, nodes)
    cells = [planned.cell.settings for planned in study.cells]
    broken = False
    for data in dict.fromkeys(planned.cell.data for planned in study.cells):
        name = f"data: {data.settings.name}"
        try:
            splits = data.splits
            if data.settings.prompt:
                shots.read(data.settings.prompt)
            sizes = "/".join(str(len(each)) for each in (splits.train, splits.validation, splits.test))
            yield ok(name, f"{sizes} questions for training, validation, test")
        except QcrdError as trouble:
            broken = True
            yield from_error(name, trouble)
    yield from checkpoints(cells)
    for message in student_errors(cells):
        yield from_error("student", QcrdError(message))
    if not broken:
        for label_check in label_checks(cells):
            name = f"labels: {label_check.task}"
            if label_check.all_writable:
                yield ok(name, label_check.summary())
            else:
                state = error if label_check.refused else warning
                yield state(name, label_check.summary(), label_check.remedy())
        for need, cell in study.sample_needs():
            yield from teacher(study, need, cell, nodes)


def resources(study: Study, nodes: Sequence[Node]) -> Check:
    """Check that one cell and one engine fit the cluster."""
    try:
        shares = Shares.of(study.grid.resources, nodes)
    except QcrdError as trouble:
        return from_error("resources", trouble)
    cpus, gpus = (sum(each) for each in zip(*nodes, strict=True))
    found = f"a cell takes {shares.cell_cpus:g} of {cpus:g} CPUs and {shares.cell_gpus:g} of {gpus:g} GPUs"
    if study.preset == "paper" and not gpus:
        return warning("resources", f"{found}: T5 takes days on CPUs", "--preset embedded, or a GPU")
    return ok("resources", found)


def checkpoints(cells: list[Cell]) -> Iterator[Check]:
    """Check each checkpoint that cells start from, and each separately configured tokenizer."""
    for used in used_models(cells, teachers=False):
        yield models.model(used.role, used.name, used.revision)[0]
    for section in {c.student.tokenizer: c.student for c in cells if c.student.tokenizer}.values():
        try:
            tokenizer = load_tokenizer(section)
            yield ok("tokenizer", f"{section.tokenizer}, {len(tokenizer):,} tokens")
        except QcrdError as trouble:
            yield from_error("tokenizer", trouble)


def teacher(study: Study, need: SampleNeed, cell: ResolvedCell, nodes: Sequence[Node]) -> Iterator[Check]:
    """Check that the missing samples can be drawn."""
    settings = cell.settings.teacher
    name = f"teacher: {settings.name}"
    try:
        store = sample_store(cell, study.home)
        requests = [r for split in need.splits for r in sample_requests(cell, split, need.m)]
        missing = store.missing(requests)
        if not missing:
            yield ok(name, f"all {len(requests)} answers to {need.task.name} are stored")
            return
        left = f"{len(missing)} of {len(requests)} answers to {need.task.name} are to be drawn"
        if settings.engine == "recorded":
            recorded_answers(settings).check(requests)
            yield ok(name, f"{left}, from the file")
        elif settings.engine == "openai":
            yield _server(study, settings, name, left)
        elif settings.embedded:
            yield ok(name, f"{left}; it is trained here")
        elif not ENGINES[settings.engine].weights:
            yield ok(name, f"{left}, by engine {settings.engine}")
        else:
            check, files = models.model(name, settings.model, settings.revision)
            yield check
            space = Capacity.of(study.grid.resources, nodes)
            if files and space:
                why = capacity_error(settings, files, space, any(node.gpus for node in nodes))
                yield from_error(f"{name}: room", QcrdError(why)) if why else ok(f"{name}: room", "it fits")
    except QcrdError as trouble:
        yield from_error(name, trouble)


def _server(study: Study, teacher: Teacher, name: str, left: str) -> Check:
    """Check that a teacher's server answers and accepts the key, if there is one."""
    from qcrd.teacher.openai.teacher import ServerTeacher

    api = study.grid.resources.api
    url = ServerTeacher(teacher, (), api).url
    key = os.environ.get(api.key, "").strip()
    answer = web.status(f"{url}/models", {"Authorization": f"Bearer {key}"} if key else {})
    if isinstance(answer, str):
        return error(name, f"{url}: {answer}", "start the server, or correct teacher.base_url")
    if answer in (401, 403):
        return error(name, f"{url} refuses the key", f"export the right one in {api.key} (resources.api.key)")
    return ok(name, f"{url} answers; {left}")


def offered(joined: list[Node] | str | None) -> list[Node]:
    """The nodes of a cluster, or this machine if no cluster was joined.

    Args:
        joined: see `services.cluster`.
    """
    if isinstance(joined, list):
        return joined
    import torch

    return [Node(psutil.cpu_count() or 1, torch.cuda.device_count())]
