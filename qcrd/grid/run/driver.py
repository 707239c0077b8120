"""Runs a grid: draws samples, pretrains discriminators, trains the cells and writes the report.

Finished work is not repeated, so running the same command again resumes after any interruption.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial

import ray

from qcrd import plugins
from qcrd.cell.remove import remove_cell
from qcrd.cell.teacher_accuracy import TeacherAccuracy
from qcrd.errors import DamagedResult, StoreError
from qcrd.grid.cluster.connection import Cluster, cluster
from qcrd.grid.cluster.gpu_sharing import measured_share
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.console import phase, say, status
from qcrd.grid.plan import labels
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.file import GridFile
from qcrd.grid.plan.students import refuse_unusable
from qcrd.grid.plan.study import Study, last_status
from qcrd.grid.results import report
from qcrd.grid.results.rows import study_accuracies
from qcrd.grid.run.discriminators import pretrain_discriminators, waiting_for_discriminators
from qcrd.grid.run.mlflow_runs import mirror, students
from qcrd.grid.run.sampling import draw_missing, say_accuracies
from qcrd.grid.run.tune import train_cells
from qcrd.grid.run.watch import CellWatch
from qcrd.storage import journal
from qcrd.storage.home import ERROR, Home
from qcrd.storage.journal import Journal
from qcrd.tracking.feeder import Feeder, Report
from qcrd.tracking.mlflow.mirror import Mirror

logger = logging.getLogger(__name__)

FINAL_PUSH_SECONDS = 60.0  # maximum wait for MLflow at the end of a grid
WORKER_EXIT_SECONDS = 8.0  # for the workers of a stopped grid to end
LOCKED_CELL_SECONDS = 5.0  # maximum wait for a cell that another process has locked, before the report
STOP_PUSH_SECONDS = 10.0  # maximum wait for MLflow after a stop; `ray job stop` kills the driver soon


def run(
    file: GridFile,
    home: Home,
    preset: str | None = None,
    tracking: str | None = None,
    only: Sequence[str] = (),
    again: Sequence[str] = (),
) -> bool:
    """Run a grid.

    Args:
        file: the grid's file.
        home: home for all results.
        preset: overrides the file's preset.
        tracking: MLflow's tracking URI; None: only write journals, for a later `qcrd sync`.
        only: cells to run (`Study.matching`), beside those of `again`; (): all.
        again: cells whose results to delete first (`Study.matching`).

    Returns:
        Whether every cell that was run has a result.

    Raises:
        KeyboardInterrupt: on SIGINT or SIGTERM, after cells and runs are marked as stopped.
        QcrdError: for errors that the user can correct.
    """
    home.check()
    with cluster() as ray_cluster:
        signal.signal(signal.SIGTERM, _interrupt)  # after ray.init, which installs a handler that aborts
        study = Study.of(file, home, preset, ray_cluster.gpus)
        shares = Shares.of(study.grid.resources, ray_cluster.nodes)
        chosen, repeated = _choice(study, only, again)
        _announce(study, ray_cluster, preset, tracking)
        study.save_preset()
        _keep_plugins(home)
        with study.exclusive(say), Journal(study.folder / journal.FILE) as log:
            mlflow_mirror = mirror(study, tracking) if tracking else None
            feeder = None
            if mlflow_mirror:
                feeder = Feeder(partial(_push_to_mlflow, study, mlflow_mirror), say=say)
                feeder.start()
            log.status("running")
            try:
                todo = _unfinished(study, chosen, repeated)
                if todo:
                    _check_and_sample(study, shares, ray_cluster.nodes, todo)
                forget(study, repeated)  # after the checks: a grid that cannot start keeps its results
                with phase("reading the teacher's answers"):
                    accuracies = study_accuracies(study)
                failed = _train(study, shares, todo, len(chosen), accuracies) if todo else {}
                _report(study, accuracies, log)
            except BaseException as error:
                ray.shutdown()  # ends the cells' workers; afterwards nothing writes to the journals
                _mark_stopped(study)
                stopped = isinstance(error, KeyboardInterrupt)
                log.status("stopped" if stopped else "failed", "" if stopped else str(error))
                if feeder:
                    feeder.stop(STOP_PUSH_SECONDS)
                raise
            log.status(*(("failed", f"{len(failed)} cells failed") if failed else ("done", "")))
            if feeder and mlflow_mirror:
                with _tolerate_store_errors():
                    mlflow_mirror.offer(students(study))
                _finish_mlflow(feeder, mlflow_mirror)
        return not failed


def _announce(study: Study, ray_cluster: Cluster, preset: str | None, tracking: str | None) -> None:
    preset_setting = preset or study.grid.preset
    reason = f" (auto: the cluster has {ray_cluster.gpus:g} GPUs)" if preset_setting == "auto" else ""
    done = sum(s in ("done", "diverged") for s in study.states())
    say(f"{study.grid.name}: {study.grid.description}" if study.grid.description else study.grid.name)
    say(f"preset {study.preset}{reason}; {len(study.cells)} cells, {done} of them already finished")
    nodes = f" on {len(ray_cluster.nodes)} nodes" if len(ray_cluster.nodes) > 1 else ""
    totals = f"{ray_cluster.cpus:g} CPUs, {ray_cluster.gpus:g} GPUs{nodes}"
    say(f"{totals} of {ray_cluster.address}; results in {study.home}")
    if tracking:
        say(f"runs: MLflow at {tracking}")
    else:
        say("runs: MLFLOW_TRACKING_URI is not set; `qcrd sync` sends them to MLflow later")


def _unfinished(
    study: Study, chosen: Sequence[PlannedCell], repeated: Sequence[PlannedCell] = ()
) -> list[PlannedCell]:
    """Those of the chosen cells that have no result or are to be repeated; damaged results are deleted."""
    forget_damaged(study)
    again = {planned.cell.id for planned in repeated}
    todo = [p for p in chosen if p.cell.id in again or study.home.record(p.cell.id) is None]
    if len(chosen) < len(study.cells):
        say(f"--only: {len(chosen)} of {len(study.cells)} cells, {len(todo)} of them to be trained")
    return todo


def _check_and_sample(
    study: Study, shares: Shares, nodes: Sequence[Node], todo: Sequence[PlannedCell]
) -> None:
    """Check that labels can be written, then draw the cells' missing samples."""
    cells = [planned.cell.settings for planned in todo]
    refuse_unusable(cells)
    labels.refuse_unwritable(cells, say)
    draw_missing(study, shares, nodes, {(cell.task, cell.teacher) for cell in cells})


def _train(
    study: Study,
    shares: Shares,
    todo: Sequence[PlannedCell],
    chosen: int,
    accuracies: Sequence[TeacherAccuracy],
) -> dict[str, str]:
    """Pretrain discriminators and train the cells; returns the reason by id of each failed cell.

    Args:
        study: the grid.
        shares: CPUs and GPUs of a cell.
        todo: cells to train.
        chosen: number of chosen cells, finished ones included.
        accuracies: of the teachers, to be printed.
    """
    say_accuracies(accuracies)
    cells = [planned.cell for planned in todo]
    if waiting := waiting_for_discriminators(cells, study.home, shares.cell_gpus):
        pretrain_discriminators(waiting, study.home, shares.cell_cpus, shares.cell_gpus, say)
    gpus = shares.cell_gpus
    if study.grid.resources.cell_gpus == "auto" and gpus:
        gpus = measured_share(cells, study.home, shares.cell_cpus, say) or gpus
    watch = CellWatch(chosen, chosen - len(todo))
    named_cells = [(planned.name, planned.cell) for planned in todo]
    with status(watch.lines):
        failed = train_cells(
            named_cells, study.home, study.folder / "tune", study.grid.resources, gpus, watch
        )
    study.home.refresh(study.ids, patience=LOCKED_CELL_SECONDS)
    names = {planned.cell.id: planned.name for planned in todo}
    for cell_id, reason in failed.items():
        if last_status(study.home, cell_id)[0] != "failed":  # killed before it could write its status
            _append_status(study.home, cell_id, "failed", reason)
        say(f"failed: {names[cell_id]}: {reason} (full traceback: {study.home.cell(cell_id) / ERROR})")
    return failed


def _choice(
    study: Study, only: Sequence[str], again: Sequence[str]
) -> tuple[Sequence[PlannedCell], Sequence[PlannedCell]]:
    """The cells to run, and those among them whose results are deleted first; patterns as of `run`."""
    repeated = study.matching(again) if again else ()
    return study.matching([*only, *again]) if only else study.cells, repeated


def forget(study: Study, cells: Sequence[PlannedCell]) -> None:
    """Delete the results of cells, so that they are trained again from the start."""
    for planned in cells:
        remove_cell(study.home, planned.cell.id)
        say(f"{planned.name}: deleted, to be trained again")


def forget_damaged(study: Study) -> None:
    """Delete damaged results, so that their cells are trained again."""
    for planned, cell_id in zip(study.cells, study.ids, strict=True):
        try:
            study.home.check_result(cell_id)
        except DamagedResult as error:
            say(f"{planned.name}: {error}")
            study.home.forget_result(cell_id)


def sample(file: GridFile, home: Home, preset: str | None = None, splits: Sequence[str] = ()) -> None:
    """Draw the samples that a grid requires, without training.

    Args:
        file: the grid's file.
        home: home for the samples.
        preset: overrides the file's preset.
        splits: further splits to sample, such as test.

    Raises:
        KeyboardInterrupt: on SIGINT or SIGTERM, after all received answers are stored.
        QcrdError: for errors that the user can correct.
    """
    home.check()
    with cluster() as ray_cluster:
        signal.signal(signal.SIGTERM, _interrupt)
        study = Study.of(file, home, preset, ray_cluster.gpus)
        _keep_plugins(home)
        shares = Shares.of(study.grid.resources, ray_cluster.nodes)
        draw_missing(study, shares, ray_cluster.nodes, splits=splits)
        say_accuracies(study_accuracies(study))


def _report(study: Study, accuracies: Sequence[TeacherAccuracy], log: Journal) -> None:
    """Write the grid's tables, figures and page, and print the table."""
    finished = [study.home.record(cell_id) for cell_id in study.ids]
    with phase("writing the report"):
        files = report.write(study, accuracies)
    for path in files:
        log.artifact(path)
    counts = Counter((accuracy.task, accuracy.split) for accuracy in accuracies)
    for accuracy in accuracies:
        name = f"teacher/{accuracy.task}/{accuracy.split}"
        if counts[accuracy.task, accuracy.split] > 1:  # several sizes, m or teachers for this split
            name += f"/{accuracy.path.stem}"
        log.metrics(0, **{f"{name}/{key}": value for key, value in accuracy.statistics.items()})
    log.metrics(0, done=sum(record is not None for record in finished), cells=len(finished))
    say("\n" + (study.folder / "table.md").read_text())
    say(f"report: {files[-1]}")


def _mark_stopped(study: Study) -> None:
    """Append `stopped` to the journals of cells that were running, once their workers have ended."""
    deadline = time.monotonic() + WORKER_EXIT_SECONDS
    while "running" in (states := study.states()) and time.monotonic() < deadline:
        time.sleep(0.2)
    with _tolerate_store_errors():
        for cell_id, state in zip(study.ids, states, strict=True):
            if state == "interrupted":
                message = "the grid was stopped; run the same command to continue"
                _append_status(study.home.with_short_timeout(), cell_id, "stopped", message)


def _append_status(home: Home, cell_id: str, status: str, message: str) -> None:
    if home.bucket is None:
        with Journal(home.cell(cell_id) / journal.FILE) as log:
            log.status(status, message)
        return
    lock = home.lock_cell(cell_id)
    if lock.acquire(timeout=0):  # otherwise another machine works on it
        with contextlib.ExitStack() as stack:
            stack.push(lock)
            with Journal(home.cell(cell_id) / journal.FILE) as log:
                log.status(status, message)


def _keep_plugins(home: Home) -> None:
    for path in plugins.keep(home.plugins):
        home.upload(path)


def _push_to_mlflow(study: Study, mlflow_mirror: Mirror) -> Report:
    """Send new journal entries of this and other machines to MLflow."""
    with _tolerate_store_errors():
        study.home.with_short_timeout().refresh(study.ids)
    return mlflow_mirror.push()


@contextlib.contextmanager
def _tolerate_store_errors() -> Iterator[None]:
    """Log an unreachable bucket instead of failing; for optional work."""
    try:
        yield
    except StoreError as error:
        logger.warning("%s", error)


def _finish_mlflow(feeder: Feeder, mlflow_mirror: Mirror) -> None:
    push_report = feeder.stop(FINAL_PUSH_SECONDS)
    if push_report is None or push_report.error:
        say("MLflow has not received everything; `qcrd sync GRID` sends the rest once it is reachable")
    elif page := mlflow_mirror.page():
        say(f"compare the runs: {page.comparison}")


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
