"""The driver of a grid: sample once, pretrain once, train the cells, report.

Everything it finds done it leaves alone, so that the same command after any interruption goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from qcrd import pipeline
from qcrd.config import Cell, Teacher
from qcrd.errors import QcrdError
from qcrd.grid.actors import Engines, pretrain_discriminators, train_teacher
from qcrd.grid.results import sources, tables
from qcrd.grid.study import Study, last_status, state
from qcrd.grid.tune import train_cells
from qcrd.grid.watch import CellWatch, Sampling, say
from qcrd.home import JOURNAL, Home
from qcrd.report.formats import FORMATS, render
from qcrd.teacher.draw import draw
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.tracking.feeder import Feeder
from qcrd.tracking.journal import Journal
from qcrd.tracking.mlflow import Mirror

CHUNK = 600  # samples per commit and engine
LAST_PUSH = 60.0  # seconds that the end of a grid waits for MLflow
STOP_PUSH = 10.0  # the same where it was stopped: `ray job stop` kills soon


@dataclass(frozen=True, slots=True)
class Cluster:
    """What Ray offers."""

    cpus: float
    gpus: float
    address: str


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """The Ray cluster that this process belongs to, or one of its own on loopback."""
    own = not os.environ.get("RAY_ADDRESS")
    if own:
        os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")  # binds 127.0.0.1 only
    started = ray.init(
        address="local" if own else None,
        include_dashboard=False if own else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        configure_logging=True,
    )
    try:
        have = ray.cluster_resources()
        where = "a Ray of its own" if own else f"Ray at {started.address_info['gcs_address']}"
        yield Cluster(have.get("CPU", 1), have.get("GPU", 0), where)
    finally:
        ray.shutdown()


def run(path: Path, home: Home, preset: str | None = None, tracking: str | None = None) -> bool:
    """Work a grid off; returns whether every cell has a result.

    Args:
        path: the grid's YAML.
        home: the store.
        preset: instead of the file's.
        tracking: MLflow's tracking URI; None keeps the journals for a later `qcrd sync`.

    Raises:
        KeyboardInterrupt: on SIGINT or SIGTERM, after cells and runs are marked as stopped.
        QcrdError: for what the user can mend.
    """
    with cluster() as have:
        signal.signal(signal.SIGTERM, _interrupt)  # after ray.init, which sets one that aborts
        study = Study.open(path, home, preset, have.gpus)
        _announce(study, have, path, preset, tracking)
        study.remember()
        parent, cells = sources(study)
        mirror = Mirror(tracking, study.grid.name, parent, cells) if tracking else None
        feeder = Feeder(mirror.push, say=say) if mirror else None
        if feeder:
            feeder.start()
        with Journal(study.folder / JOURNAL) as journal:
            journal.status("running")
            try:
                failed = _work(study, have)
            except KeyboardInterrupt:
                ray.shutdown()  # ends the cells, so that nobody writes their journals any more
                _mark_stopped(study)
                journal.status("stopped")
                if feeder:
                    feeder.stop(STOP_PUSH)
                raise
            except Exception as error:
                journal.status("failed", str(error))
                if feeder:
                    feeder.stop(STOP_PUSH)
                raise
            _report(study, journal)
            journal.status(*(("failed", f"{len(failed)} cells failed") if failed else ("done", "")))
        if feeder:
            _finish(feeder, mirror)
        return not failed


def _announce(study: Study, have: Cluster, path: Path, preset: str | None, tracking: str | None) -> None:
    asked = preset or study.grid.preset
    why = f" (auto: the cluster has {have.gpus:g} GPUs)" if asked == "auto" else ""
    done = sum(s in ("done", "diverged") for s in study.states())
    say(f"{study.grid.name}: {study.grid.description}" if study.grid.description else study.grid.name)
    say(f"preset {study.preset}{why}; {len(study.cells)} cells, {done} of them finished before")
    say(f"{have.cpus:g} CPUs, {have.gpus:g} GPUs on {have.address}; results in {study.home.root}")
    where = f"MLflow at {tracking}" if tracking else "MLFLOW_TRACKING_URI is not set: `qcrd sync` shows them"
    say(f"runs: {where}")


def _work(study: Study, have: Cluster) -> dict[str, str]:
    todo = [
        (cell_id, planned.name, planned.cell)
        for planned, cell_id in zip(study.cells, study.ids, strict=True)
        if study.home.record(cell_id) is None
    ]
    if not todo:
        return {}
    _sample(study, have, {cell_id for cell_id, _, _ in todo})
    resources = study.grid.resources
    gpus = resources.cell_gpus
    gpus = (0.25 if have.gpus else 0) if gpus is None else gpus
    _check(have, resources.cell_cpus, gpus, "cell")

    judges: dict[str, Cell] = {}
    for _, _, cell in todo:
        judge = pipeline.judge_id(cell)
        if judge and not (study.home.discriminators / f"{judge}.safetensors").exists():
            judges.setdefault(judge, cell)
    if judges:
        pretrain_discriminators(
            list(judges.values()),
            study.home,
            resources.cell_cpus,
            gpus,
            lambda done, all_: say(f"discriminators: {done} of {all_} pretrained"),
        )
    watch = CellWatch(len(study.cells), len(study.cells) - len(todo))
    failed = train_cells(todo, study.home, resources, gpus, watch)
    for cell_id, reason in failed.items():
        if last_status(study.home, cell_id)[0] != "failed":  # killed before it could say so itself
            _append(study.home, cell_id, "failed", reason)
        say(f"failed: {next(n for i, n, _ in todo if i == cell_id)}: {reason}")
    return failed


def _sample(study: Study, have: Cluster, todo: set[str]) -> None:
    cells = [planned.cell for planned, cell_id in zip(study.cells, study.ids, strict=True) if cell_id in todo]
    for need, store, requests, missing in study.samples():
        if not missing or not any(c.teacher == need.teacher and c.task == need.task for c in cells):
            continue
        if need.teacher.engine == "recorded":
            teacher = RecordedTeacher(need.teacher.path)
            lacking = draw(store, requests, teacher, CHUNK, Sampling())
            if lacking:
                say(
                    f"teacher: {need.teacher.path} lacks {lacking} of {len(requests)} answers; fewer are used"
                )
            continue
        resources = study.grid.resources
        gpus = resources.teacher_gpus
        gpus = (1 if have.gpus else 0) if gpus is None else gpus
        cpus = min(resources.teacher_cpus, have.cpus)
        _check(have, cpus, gpus, "teacher")
        model = _model(study.home, need.teacher, cpus)
        stop = pipeline.load_task(need.task)[0].stop
        say(f"teacher: starting vLLM for {len(missing)} of {len(requests)} samples")
        with Engines(model, need.teacher, stop, resources, gpus) as engines:
            draw(store, requests, engines, CHUNK * engines.count, Sampling())


def _model(home: Home, teacher: Teacher, cpus: float) -> str:
    if teacher.model != "embedded":
        return teacher.model
    say("teacher: the embedded one, trained here where it is not in the store yet (about a minute)")
    return str(train_teacher(home, teacher, cpus))


def _check(have: Cluster, cpus: float, gpus: float, who: str) -> None:
    if cpus > have.cpus or gpus > have.gpus:
        raise QcrdError(
            f"resources.{who}_cpus {cpus:g}, {who}_gpus {gpus:g}: the cluster has {have.cpus:g} CPUs and "
            f"{have.gpus:g} GPUs; lower them in the grid's resources"
        )


def _report(study: Study, journal: Journal) -> None:
    """Print the table and keep it in every format."""
    finished = [study.home.record(cell_id) for cell_id in study.ids]
    found = tables(study)
    for name in FORMATS:
        path = study.folder / f"table.{'tex' if name == 'latex' else name}"
        path.write_text(render(found, name))
        journal.artifact(path)
    journal.metrics(0, done=sum(record is not None for record in finished), cells=len(finished))
    say("\n" + render(found, "md"))


def _mark_stopped(study: Study) -> None:
    for cell_id in study.ids:
        if state(study.home, cell_id) == "interrupted":
            _append(study.home, cell_id, "stopped", "the grid was stopped; the same command goes on")


def _append(home: Home, cell_id: str, status: str, message: str) -> None:
    with Journal(home.cell(cell_id) / JOURNAL) as journal:
        journal.status(status, message)


def _finish(feeder: Feeder, mirror: Mirror) -> None:
    report = feeder.stop(LAST_PUSH)
    if report is None or report.error:
        say("MLflow has not taken everything; `qcrd sync GRID` sends the rest once it is back")
    elif mirror.url():
        say(f"compare the runs: {mirror.url()}")


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
