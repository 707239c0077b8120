"""The driver of a grid: sample once, pretrain once, train the cells, report.

Everything it finds done it leaves alone, so that the same command after any interruption goes on.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import ray

from qcrd import plugins
from qcrd.cell.data import task_data
from qcrd.cell.resolved import ResolvedCell
from qcrd.cell.teacher_accuracy import TeacherAccuracy
from qcrd.errors import DamagedResult, StoreError
from qcrd.grid.cluster import private_files
from qcrd.grid.cluster.autoscale import await_gpus
from qcrd.grid.cluster.capacity import check_capacity
from qcrd.grid.cluster.gpu_sharing import measured_share
from qcrd.grid.cluster.lost_node import interrupt_if_node_lost
from qcrd.grid.cluster.nodes import nodes
from qcrd.grid.cluster.shares import Node, Shares
from qcrd.grid.console import SamplingProgress, say
from qcrd.grid.plan import labels
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.study import Study, last_status
from qcrd.grid.results import report
from qcrd.grid.results.rows import study_accuracies
from qcrd.grid.run.discriminators import pretrain_discriminators
from qcrd.grid.run.mlflow_runs import mirror, students
from qcrd.grid.run.teachers import hub_commit, sampler
from qcrd.grid.run.tune import train_cells
from qcrd.grid.run.watch import CellWatch
from qcrd.report.teachers import sentence, teacher_line
from qcrd.samples.draw import draw
from qcrd.storage import journal
from qcrd.storage.files import write_json
from qcrd.storage.home import Home
from qcrd.storage.journal import Journal
from qcrd.tracking.feeder import Feeder, Report
from qcrd.tracking.mlflow.mirror import Mirror

logger = logging.getLogger(__name__)

LAST_PUSH = 60.0  # seconds that the end of a grid waits for MLflow
LET_GO = 8.0  # seconds that the workers of a stopped grid get to end
PATIENCE = 5.0  # seconds that the table waits for a cell which somebody looks at just now
STOP_PUSH = 10.0  # the same where it was stopped: `ray job stop` kills soon


@dataclass(frozen=True, slots=True)
class Cluster:
    """What Ray offers."""

    nodes: tuple[Node, ...]  # those that are up
    address: str

    @property
    def cpus(self) -> float:
        """Of all nodes."""
        return sum(node.cpus for node in self.nodes)

    @property
    def gpus(self) -> float:
        """Of all nodes."""
        return sum(node.gpus for node in self.nodes)


@contextlib.contextmanager
def cluster() -> Iterator[Cluster]:
    """The Ray cluster that RAY_ADDRESS names, or one of this process's own on loopback."""
    own = not os.environ.get("RAY_ADDRESS")
    sessions = Path(private_files.session_folder())
    if own:
        private_files.protect_token()
        private_files.remove_old_sessions(sessions)
    started = ray.init(
        address="local" if own else None,
        include_dashboard=False if own else None,
        log_to_driver=False,
        logging_level=logging.ERROR,
        **({"_node_ip_address": "127.0.0.1", "_temp_dir": str(sessions)} if own else {}),
    )
    try:
        if not own:
            await_gpus(say)
        where = "a Ray of its own" if own else f"Ray at {started.address_info['gcs_address']}"
        with interrupt_if_node_lost():
            yield Cluster(nodes(), where)
    finally:
        ray.shutdown()
        if own:
            private_files.remove_old_sessions(sessions, ended=os.getpid())


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
    home.check()
    with cluster() as have:
        signal.signal(signal.SIGTERM, _interrupt)  # after ray.init, which sets one that aborts
        study = Study.open(path, home, preset, have.gpus)
        shares = Shares.of(study.grid.resources, have.nodes)
        _announce(study, have, preset, tracking)
        study.save_preset()
        _keep_plugins(home)
        with study.exclusive(say), Journal(study.folder / journal.FILE) as log:
            shown = mirror(study, tracking) if tracking else None
            feeder = Feeder(partial(_push, study, shown), say=say) if shown else None
            if feeder:
                feeder.start()
            log.status("running")
            try:
                todo = _unfinished(study)
                if todo:
                    _sample_for(study, shares, have.nodes, todo)
                accuracies = study_accuracies(study)
                failed = _train(study, shares, todo, accuracies) if todo else {}
                _report(study, accuracies, log)
            except BaseException as error:
                ray.shutdown()  # ends the cells; once their locks are free nobody writes their journals
                _mark_stopped(study)
                stopped = isinstance(error, KeyboardInterrupt)
                log.status("stopped" if stopped else "failed", "" if stopped else str(error))
                if feeder:
                    feeder.stop(STOP_PUSH)
                raise
            log.status(*(("failed", f"{len(failed)} cells failed") if failed else ("done", "")))
            if feeder and shown:
                with _unless_away():
                    shown.offer(students(study))
                _finish(feeder, shown)
        return not failed


def _announce(study: Study, have: Cluster, preset: str | None, tracking: str | None) -> None:
    asked = preset or study.grid.preset
    why = f" (auto: the cluster has {have.gpus:g} GPUs)" if asked == "auto" else ""
    done = sum(s in ("done", "diverged") for s in study.states())
    say(f"{study.grid.name}: {study.grid.description}" if study.grid.description else study.grid.name)
    say(f"preset {study.preset}{why}; {len(study.cells)} cells, {done} of them finished before")
    where = f" on {len(have.nodes)} nodes" if len(have.nodes) > 1 else ""
    say(f"{have.cpus:g} CPUs, {have.gpus:g} GPUs{where} of {have.address}; results in {study.home}")
    where = f"MLflow at {tracking}" if tracking else "MLFLOW_TRACKING_URI is not set: `qcrd sync` shows them"
    say(f"runs: {where}")


def _unfinished(study: Study) -> list[PlannedCell]:
    """The cells without a result; damaged results are forgotten first."""
    forget_damaged(study)
    return [planned for planned in study.cells if study.home.record(planned.cell.id) is None]


def _sample_for(study: Study, shares: Shares, nodes: Sequence[Node], todo: Sequence[PlannedCell]) -> None:
    """Draw what these cells lack."""
    cells = [planned.cell.settings for planned in todo]
    labels.refuse_unwritable(cells, say)
    _sample(study, shares, nodes, {(cell.task, cell.teacher) for cell in cells})


def _train(
    study: Study, shares: Shares, todo: Sequence[PlannedCell], accuracies: Sequence[TeacherAccuracy]
) -> dict[str, str]:
    """Pretrain the discriminators and train the cells; returns failed cells with reasons."""
    _say_accuracies(accuracies)
    cells = [planned.cell for planned in todo]
    lacking: dict[str, ResolvedCell] = {}  # by the id of a discriminator, a cell that needs it
    for cell in cells:
        judge = cell.discriminator_id
        if judge and not (study.home.discriminators / f"{judge}.safetensors").exists():
            lacking.setdefault(judge, cell)
    if lacking:
        pretrain_discriminators(list(lacking.values()), study.home, shares.cell_cpus, shares.cell_gpus, say)
    gpus = shares.cell_gpus
    if study.grid.resources.cell_gpus == "auto" and gpus:
        gpus = measured_share(cells, study.home, shares.cell_cpus, say) or gpus
    watch = CellWatch(len(study.cells), len(study.cells) - len(todo))
    named = [(planned.name, planned.cell) for planned in todo]
    failed = train_cells(named, study.home, study.folder / "tune", study.grid.resources, gpus, watch)
    study.home.refresh(study.ids, patience=PATIENCE)
    names = {planned.cell.id: planned.name for planned in todo}
    for cell_id, reason in failed.items():
        if last_status(study.home, cell_id)[0] != "failed":  # killed before it could say so itself
            _append(study.home, cell_id, "failed", reason)
        say(f"failed: {names[cell_id]}: {reason} (whole trace: {study.home.cell(cell_id) / 'error.txt'})")
    return failed


def forget_damaged(study: Study) -> None:
    """Let cells whose record or answers are damaged be trained again."""
    for planned, cell_id in zip(study.cells, study.ids, strict=True):
        try:
            study.home.check_result(cell_id)
        except DamagedResult as error:
            say(f"{planned.name}: {error}")
            study.home.forget_result(cell_id)


def sample(path: Path, home: Home, preset: str | None = None, splits: Sequence[str] = ()) -> None:
    """Draw what a grid needs of its teachers, and train nothing.

    Args:
        path: the grid's YAML.
        home: the store.
        preset: instead of the file's.
        splits: to be sampled besides those that the cells read, such as test.

    Raises:
        KeyboardInterrupt: on SIGINT or SIGTERM, with everything stored that the teacher had answered.
        QcrdError: for what the user can mend.
    """
    home.check()
    with cluster() as have:
        signal.signal(signal.SIGTERM, _interrupt)
        study = Study.open(path, home, preset, have.gpus)
        _keep_plugins(home)
        _sample(study, Shares.of(study.grid.resources, have.nodes), have.nodes, splits=splits)
        _say_accuracies(study_accuracies(study))


def _say_accuracies(accuracies: Iterable[TeacherAccuracy]) -> None:
    for each in accuracies:
        line = teacher_line(each.teacher, each.task, each.split, each.m, each.statistics)
        say(f"teacher: {sentence(line)}")
        lost = sum(line.unparsed.values())
        if 2 * lost > line.samples:
            cut = line.unparsed.get("truncated", 0)
            more = f"; {cut} were cut off, so raise teacher.max_tokens" if 2 * cut > lost else ""
            say(f"teacher: most of these answers cannot be read; `qcrd samples show` shows them{more}")


def _sample(
    study: Study,
    shares: Shares,
    nodes: Sequence[Node],
    wanted: set[tuple] | None = None,
    splits: Sequence[str] = (),
) -> None:
    """Draw what the cells lack, and then what they ask about that.

    Args:
        study: whose cells.
        shares: of an engine.
        nodes: of the cluster.
        wanted: tasks and teachers to draw for; None is all.
        splits: to be sampled besides those that the cells read.
    """
    _draw(study, shares, nodes, study.samples(splits), wanted)
    _draw(study, shares, nodes, study.duals(), wanted)


def _draw(
    study: Study, shares: Shares, nodes: Sequence[Node], lacks: Iterable[tuple], wanted: set[tuple] | None
) -> None:
    """Draw what is missing of `lacks`; tasks that ask the same teacher in the same way share its engines."""
    groups: dict[tuple, list[tuple]] = {}
    for need, store, requests, missing in lacks:
        if missing and (wanted is None or (need.task, need.teacher) in wanted):
            stop = task_data(need.task).task.stop
            groups.setdefault((need.teacher, stop), []).append((need, store, requests, missing))
    for teacher, _ in groups:
        check_capacity(teacher, study.grid.resources, nodes)
    for (teacher, stop), needs in groups.items():
        lacking = [r for *_, missing in needs for r in missing]
        everything = [r for _, _, requests, _ in needs for r in requests]
        name = teacher.name
        what = "dual rationales" if any(need.duals for need, *_ in needs) else "samples"
        say(f"teacher: {name} ({teacher.engine}) for {len(lacking)} of {len(everything)} {what}")
        resources = study.grid.resources
        at = hub_commit(teacher)
        if at is not None:  # all engines load the same, whatever is pushed meanwhile
            teacher = teacher.model_copy(update={"revision": at})
        with sampler(teacher, stop, everything, resources, shares, study.home, say, lacking) as sample:
            for need, store, requests, _ in needs:
                watch = SamplingProgress()
                if at is not None:
                    store.note_commit(at)
                short = draw(store, requests, sample, watch)
                if watch.rate:
                    write_json(study.home.rate(store.folder.name), {"samples_per_second": watch.rate})
                if short:
                    say(f"teacher: {name} lacks {short} of {len(requests)} answers to {need.task.name}")


def _report(study: Study, accuracies: Sequence[TeacherAccuracy], log: Journal) -> None:
    """Print the table; keep it, its figures and its page."""
    finished = [study.home.record(cell_id) for cell_id in study.ids]
    files = report.write(study, accuracies)
    for path in files:
        log.artifact(path)
    names = Counter((each.task, each.split) for each in accuracies)
    for each in accuracies:
        name = f"teacher/{each.task}/{each.split}"
        if names[each.task, each.split] > 1:  # other sizes, counts or teachers in one grid
            name += f"/{each.path.stem}"
        log.metrics(0, **{f"{name}/{key}": value for key, value in each.statistics.items()})
    log.metrics(0, done=sum(record is not None for record in finished), cells=len(finished))
    say("\n" + (study.folder / "table.md").read_text())
    say(f"report: {files[-1]}")


def _mark_stopped(study: Study) -> None:
    """Say it in the journals of the cells that ran, once their workers have let go."""
    patience = time.monotonic() + LET_GO
    while "running" in (states := study.states()) and time.monotonic() < patience:
        time.sleep(0.2)
    with _unless_away():
        for cell_id, found in zip(study.ids, states, strict=True):
            if found == "interrupted":
                what = "the grid was stopped; run the same command to continue"
                _append(study.home.with_short_timeout(), cell_id, "stopped", what)


def _append(home: Home, cell_id: str, status: str, message: str) -> None:
    if home.bucket is None:
        with Journal(home.cell(cell_id) / journal.FILE) as log:
            log.status(status, message)
        return
    lock = home.lock_cell(cell_id)
    if lock.acquire(timeout=0):  # else somebody works on it, elsewhere
        with contextlib.ExitStack() as stack:
            stack.push(lock)
            with Journal(home.cell(cell_id) / journal.FILE) as log:
                log.status(status, message)


def _keep_plugins(home: Home) -> None:
    for path in plugins.keep(home.plugins):
        home.upload(path)


def _push(study: Study, shown: Mirror) -> Report:
    """Send to MLflow what this machine's cells have written, and others'."""
    with _unless_away():
        study.home.with_short_timeout().refresh(study.ids)
    return shown.push()


@contextlib.contextmanager
def _unless_away() -> Iterator[None]:
    """For what is nice to have: a bucket that does not answer is said, and no more."""
    try:
        yield
    except StoreError as error:
        logger.warning("%s", error)


def _finish(feeder: Feeder, shown: Mirror) -> None:
    sent = feeder.stop(LAST_PUSH)
    if sent is None or sent.error:
        say("MLflow has not taken everything; `qcrd sync GRID` sends the rest once it is back")
    elif page := shown.page():
        say(f"compare the runs: {page.comparison}")


def _interrupt(signum: int, frame: object) -> None:
    raise KeyboardInterrupt
