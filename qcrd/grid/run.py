"""The driver of a grid: sample once, pretrain once, train the cells, report.

Everything it finds done it leaves alone, so that the same command after any interruption goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import ray

from qcrd import preparation
from qcrd.config import Cell
from qcrd.errors import QcrdError
from qcrd.grid.actors import Engines, Shares, pretrain_discriminators, train_teacher
from qcrd.grid.results import sources, tables
from qcrd.grid.study import Study, last_status
from qcrd.grid.tune import train_cells
from qcrd.grid.watch import CellWatch, Sampling, say
from qcrd.home import Home
from qcrd.report.formats import FORMATS, render
from qcrd.teacher.draw import draw
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.tracking import journal
from qcrd.tracking.feeder import Feeder
from qcrd.tracking.journal import Journal
from qcrd.tracking.mlflow import Mirror

LAST_PUSH = 60.0  # seconds that the end of a grid waits for MLflow
LET_GO = 8.0  # seconds that the workers of a stopped grid get to end
STOP_PUSH = 10.0  # the same where it was stopped: `ray job stop` kills soon


@dataclass(frozen=True, slots=True)
class Cluster:
    """What Ray offers."""

    cpus: float
    gpus: float
    address: str


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """The Ray cluster that RAY_ADDRESS names, or one of this process's own on loopback."""
    own = not os.environ.get("RAY_ADDRESS")
    started = ray.init(
        address="local" if own else None,
        include_dashboard=False if own else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **({"_node_ip_address": "127.0.0.1"} if own else {}),
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
        shares = _shares(study, have)
        _announce(study, have, preset, tracking)
        study.remember()
        with study.alone(say), Journal(study.folder / journal.FILE) as log:
            parent, cells = sources(study)
            mirror = Mirror(tracking, study.grid.name, parent, cells) if tracking else None
            feeder = Feeder(mirror.push, say=say) if mirror else None
            if feeder:
                feeder.start()
            log.status("running")
            try:
                failed = _work(study, shares)
                _report(study, log)
            except BaseException as error:
                ray.shutdown()  # ends the cells; once their locks are free nobody writes their journals
                _mark_stopped(study)
                stopped = isinstance(error, KeyboardInterrupt)
                log.status("stopped" if stopped else "failed", "" if stopped else str(error))
                if feeder:
                    feeder.stop(STOP_PUSH)
                raise
            log.status(*(("failed", f"{len(failed)} cells failed") if failed else ("done", "")))
            if feeder:
                _finish(feeder, mirror)
        return not failed


def _shares(study: Study, have: Cluster) -> Shares:
    """CPUs and GPUs of one cell and of one teacher, all of it checked before anything starts."""
    resources = study.grid.resources
    cell_gpus = (0.25 if have.gpus else 0) if resources.cell_gpus is None else resources.cell_gpus
    teacher_gpus = (1 if have.gpus else 0) if resources.teacher_gpus is None else resources.teacher_gpus
    # More cores than there are would wait for ever; the engine is content with fewer.
    teacher_cpus = min(resources.teacher_cpus, have.cpus / resources.teacher_actors)
    wanted = {
        "cell_cpus": (resources.cell_cpus, have.cpus, "CPUs"),
        "cell_gpus": (cell_gpus, have.gpus, "GPUs"),
        "teacher_gpus": (teacher_gpus * resources.teacher_actors, have.gpus, "GPUs"),
    }
    for field, (asked, there, what) in wanted.items():
        if asked > there:
            raise QcrdError(
                f"resources.{field}: {asked:g} {what} are asked for, the cluster has {there:g}; "
                f"allowed: up to {there:g}; lower it, or run where there are more"
            )
    return Shares(resources.cell_cpus, cell_gpus, teacher_cpus, teacher_gpus)


def _announce(study: Study, have: Cluster, preset: str | None, tracking: str | None) -> None:
    asked = preset or study.grid.preset
    why = f" (auto: the cluster has {have.gpus:g} GPUs)" if asked == "auto" else ""
    done = sum(s in ("done", "diverged") for s in study.states())
    say(f"{study.grid.name}: {study.grid.description}" if study.grid.description else study.grid.name)
    say(f"preset {study.preset}{why}; {len(study.cells)} cells, {done} of them finished before")
    say(f"{have.cpus:g} CPUs, {have.gpus:g} GPUs on {have.address}; results in {study.home.root}")
    where = f"MLflow at {tracking}" if tracking else "MLFLOW_TRACKING_URI is not set: `qcrd sync` shows them"
    say(f"runs: {where}")


def _work(study: Study, shares: Shares) -> dict[str, str]:
    """Sample, pretrain, train what is not finished; returns failed cells with reasons."""
    todo = [
        (cell_id, planned.name, planned.cell)
        for planned, cell_id in zip(study.cells, study.ids, strict=True)
        if study.home.record(cell_id) is None
    ]
    if not todo:
        return {}
    _sample(study, {(cell.task, cell.teacher) for _, _, cell in todo}, shares)
    judges: dict[str, Cell] = {}
    for _, _, cell in todo:
        judge = preparation.judge_id(cell)
        if judge and not (study.home.discriminators / f"{judge}.safetensors").exists():
            judges.setdefault(judge, cell)
    if judges:
        pretrain_discriminators(list(judges.values()), study.home, shares.cell_cpus, shares.cell_gpus, say)
    watch = CellWatch(len(study.cells), len(study.cells) - len(todo))
    failed = train_cells(todo, study.home, study.grid.resources, shares.cell_gpus, watch)
    for cell_id, reason in failed.items():
        if last_status(study.home, cell_id)[0] != "failed":  # killed before it could say so itself
            _append(study.home, cell_id, "failed", reason)
        name = next(name for i, name, _ in todo if i == cell_id)
        say(f"failed: {name}: {reason} (whole trace: {study.home.cell(cell_id) / 'error.txt'})")
    return failed


def _sample(study: Study, wanted: set[tuple], shares: Shares) -> None:
    resources = study.grid.resources
    for need, store, requests, missing in study.samples():
        if not missing or (need.task, need.teacher) not in wanted:
            continue
        if need.teacher.engine == "recorded":
            teacher = RecordedTeacher(need.teacher.path)
            teacher.check(requests)
            lacking = draw(store, requests, teacher, Sampling())
            if lacking:
                lacks = f"lacks {lacking} of {len(requests)} answers, the rest is used"
                say(f"teacher: {need.teacher.path} {lacks}")
            continue
        model = need.teacher.model
        if model == "embedded":
            model = str(train_teacher(study.home, need.teacher, shares.teacher_cpus, say))
        stop = preparation.load_task(need.task)[0].stop
        say(f"teacher: starting vLLM for {len(missing)} of {len(requests)} samples")
        with Engines(model, need.teacher, stop, resources, shares) as engines:
            draw(store, requests, engines, Sampling())


def _report(study: Study, log: Journal) -> None:
    """Print the table and keep it in every format."""
    finished = [study.home.record(cell_id) for cell_id in study.ids]
    found = tables(study)
    for name in FORMATS:
        path = study.folder / f"table.{'tex' if name == 'latex' else name}"
        path.write_text(render(found, name))
        log.artifact(path)
    log.metrics(0, done=sum(record is not None for record in finished), cells=len(finished))
    say("\n" + render(found, "md"))


def _mark_stopped(study: Study) -> None:
    """Say it in the journals of the cells that ran, once their workers have let go."""
    patience = time.monotonic() + LET_GO
    while "running" in (states := study.states()) and time.monotonic() < patience:
        time.sleep(0.2)
    for cell_id, found in zip(study.ids, states, strict=True):
        if found == "interrupted":
            _append(study.home, cell_id, "stopped", "the grid was stopped; the same command goes on")


def _append(home: Home, cell_id: str, status: str, message: str) -> None:
    with Journal(home.cell(cell_id) / journal.FILE) as log:
        log.status(status, message)


def _finish(feeder: Feeder, mirror: Mirror) -> None:
    report = feeder.stop(LAST_PUSH)
    if report is None or report.error:
        say("MLflow has not taken everything; `qcrd sync GRID` sends the rest once it is back")
    elif mirror.url():
        say(f"compare the runs: {mirror.url()}")


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
