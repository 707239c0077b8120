"""Mirrors the journals of a grid to an MLflow server: one parent run, one child run per cell.

Only reads journals, so that it cannot disturb training. The server gets every metric exactly once, even if
pushes fail half-way, processes are killed and cells resume from checkpoints: `mlflow.json` stores the number
of events sent per run. During a push, or if that number is lost, the run is marked as in doubt, and the
server is queried for the metrics that it has.
"""

from __future__ import annotations

import getpass
import re
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcrd.storage import journal
from qcrd.storage.journal import Artifact, Event, Metrics, Params, Status, Tail
from qcrd.tracking.feeder import Report
from qcrd.tracking.mlflow.client import all_runs, is_refusal, one_line, open_client
from qcrd.tracking.mlflow.experiment import find_or_create, set_note_and_view
from qcrd.tracking.mlflow.page import Page
from qcrd.tracking.mlflow.source import Data, Source
from qcrd.tracking.mlflow.students import Student, log_student
from qcrd.tracking.progress import FILE, Progress, load, save

_STATUS = {
    "running": "RUNNING",
    "done": "FINISHED",
    "failed": "FAILED",
    "diverged": "FAILED",
    "stopped": "KILLED",
}
_PARENT = "mlflow.parentRunId"
_METRICS_PER_BATCH = 1000  # the server's limit
_PARAMS_PER_BATCH = 100  # the server's limit
_LONGEST_VALUE = 500  # characters of a parameter or tag; longer ones make the comparison page useless


@dataclass(slots=True)
class _Sent:
    """Counts of what reached the server in one push."""

    events: int = 0
    made: int = 0  # runs
    moved: int = 0  # runs
    students: int = 0


@dataclass(slots=True)
class _Shown:
    """State of a run on the server, read when connecting and updated with each push."""

    status: str
    params: set[str]
    data: set[str]  # names of data sets
    student: bool  # whether it has a logged model


@dataclass(slots=True)
class _Batch:
    """Metrics that are collected for one request, and the number of their events."""

    metrics: list[Any] = field(default_factory=list)
    events: int = 0


class Mirror:
    """Sends one grid's journals to one server with each call of `push`.

    Args:
        uri: tracking URI, such as http://127.0.0.1:5000.
        experiment: name of the experiment (the grid's name).
        grid: the grid; its folder also contains the state file. Its journal has the status, summary metrics
            and artifacts of the parent run.
        cells: the cells, including finished ones. A cell's run is created with its first journal event.
        live: whether cells may be running. If not (`qcrd sync` after a crash), a journal that ends with
            "running" is shown as killed.
        varied: names of the parameters that the grid varies; the page plots accuracy against them.
    """

    def __init__(
        self,
        uri: str,
        experiment: str,
        grid: Source,
        cells: Sequence[Source],
        live: bool = True,
        varied: Sequence[str] = (),
    ):
        self.uri = uri
        self._experiment = experiment
        self._sources = [grid, *cells]
        self._grid = grid
        self._live = live
        self._varied = tuple(varied)
        self._state = grid.folder / FILE
        self._progress = load(self._state, uri)
        self._shown: dict[str, _Shown] = {}
        self._tails = self._new_tails()
        self._students: dict[str, Student] = {}
        self._client: Any = None
        self._experiment_id = ""  # until it is connected
        self._connected = False
        self._lock = threading.Lock()
        self._sent = _Sent()

    def push(self) -> Report:
        """Send what the server lacks. Errors of the server are reported, not raised."""
        with self._lock:
            self._sent = _Sent()
            try:
                error = self._push()
            except Exception as trouble:  # no error of the client library may stop training
                error = one_line(trouble)
            if error:
                self._connected = False  # query the server's state before the next push
            sent = self._sent
            return Report(sent.events, self._pending(), error, sent.made, sent.moved, sent.students)

    def offer(self, students: Mapping[str, Student]) -> None:
        """Set the students, by cell id, that the next push logs; logged students stay."""
        self._students = dict(students)

    def page(self) -> Page | None:
        """The grid's page in MLflow's UI; None before the first push, and without an HTTP server."""
        progress = self._progress.get(self._grid.id)
        if not self._experiment_id or not progress or not self.uri.startswith("http"):
            return None
        return Page(self.uri, self._experiment_id, self._grid.id, progress.run_id)

    def _new_tails(self) -> dict[str, Tail]:
        return {source.id: Tail(source.folder / journal.FILE) for source in self._sources}

    def _push(self) -> str | None:
        if not self._connected:
            self._connect()
        outdated = [source for source in self._sources if self._is_outdated(source)]
        if not outdated:
            return None
        errors = []
        doubts = {i: self._progress[i].doubt for i in (s.id for s in outdated) if i in self._progress}
        for i in doubts:
            self._progress[i].doubt = True
        save(self._state, self.uri, self._progress)  # on disk, runs are in doubt until their push completes
        for i, doubt in doubts.items():
            self._progress[i].doubt = doubt
        try:
            for source in outdated:
                try:
                    self._update(source)
                except Exception as trouble:
                    errors.append(f"{source.name}: {one_line(trouble)}")
                    if not is_refusal(trouble):
                        break  # a problem of the server, not of this run: the remaining runs would fail too
        finally:
            save(self._state, self.uri, self._progress)
        return errors[0] if errors else None

    def _connect(self) -> None:
        """Find or create the experiment and the parent run, and find the existing child runs."""
        if self._client is None:
            self._client = open_client(self.uri)
        self._experiment_id, tags = find_or_create(self._client, self._experiment)
        existing: dict[str, dict[str, Any]] = {}
        for run in all_runs(self._client, self._experiment_id, f"tags.`qcrd.grid_id` = '{self._grid.id}'"):
            existing.setdefault(run.data.tags.get("qcrd.cell", self._grid.id), {})[run.info.run_id] = run
        self._shown = {}
        for source in self._sources:
            runs = existing.get(source.id, {})
            progress = self._progress.get(source.id)
            if progress is None or progress.run_id not in runs:  # new, deleted, or created before a crash
                self._progress.pop(source.id, None)
                if not runs:
                    continue
                self._progress[source.id] = progress = Progress(run_id=next(iter(runs)))
            run = runs[progress.run_id]
            self._shown[source.id] = _Shown(
                run.info.status,
                set(run.data.params),
                {each.dataset.name for each in run.inputs.dataset_inputs},
                bool(run.outputs.model_outputs),
            )
        if self._grid.id not in self._progress:
            self._create(self._grid, {})
        former = self._move_under_parent(existing)
        with suppress(Exception):  # metrics are sent even if the page's view cannot be set
            parent = self._progress[self._grid.id].run_id
            page = Page(self.uri, self._experiment_id, self._grid.id, parent)
            set_note_and_view(self._client, page, tags, self._grid, self._varied, former)
        self._tails = self._new_tails()  # the server may have lost data
        self._connected = True

    def _move_under_parent(self, existing: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Move the cells' runs under the grid's run, which is new if the former one was deleted.

        Returns:
            The ids of the former parent runs.
        """
        parent, former = self._progress[self._grid.id].run_id, set()
        for source in self._sources:
            progress = self._progress.get(source.id)
            if source is self._grid or progress is None:
                continue
            before = existing[source.id][progress.run_id].data.tags.get(_PARENT)
            if before != parent:
                self._client.set_tag(progress.run_id, _PARENT, parent)
                self._sent.moved += 1
                former |= {before} - {None}
        return former

    def _create(self, source: Source, tags: dict[str, str]) -> None:
        events = self._tails[source.id].events()
        run = self._client.create_run(
            self._experiment_id,
            start_time=events[0].time if events else None,
            run_name=source.name,
            tags={
                "mlflow.user": _user(),
                "mlflow.source.name": "qcrd",
                "qcrd.grid": self._experiment,
                "qcrd.grid_id": self._grid.id,
                **{name: str(value)[:_LONGEST_VALUE] for name, value in source.tags.items()},
                **tags,
            },
        )
        self._progress[source.id] = Progress(run_id=run.info.run_id, doubt=False)
        self._shown[source.id] = _Shown(run.info.status, set(), set(), False)
        self._sent.made += 1

    def _is_outdated(self, source: Source) -> bool:
        tail, progress = self._tails[source.id], self._progress.get(source.id)
        if progress is None:
            return bool(tail.events())
        shown = self._shown[source.id]
        if source.id in self._students and not shown.student:
            return True
        if tail.settled:
            return False
        events = tail.events()
        if (
            len(_countable(events)) > progress.sent
            or not _params(source, events).keys() <= shown.params
            or self._status(events) not in (None, shown.status)
            or not {data.name for data in source.data} <= shown.data
        ):
            return True
        tail.settle()
        return False

    def _update(self, source: Source) -> None:
        """Send what the server's run lacks compared with the source's journal."""
        if source.id not in self._progress:
            parent = self._progress[self._grid.id].run_id
            self._create(source, {_PARENT: parent, "qcrd.cell": source.id})
        events = self._tails[source.id].events()
        progress, shown = self._progress[source.id], self._shown[source.id]
        self._send_params(progress.run_id, shown, _params(source, events))
        self._send_data(progress.run_id, shown, source.data)
        self._send_events(source, progress, _countable(events))
        status = self._status(events)
        if status not in (None, shown.status):
            self._send_status(progress.run_id, status, events)
            shown.status = status
        if source.id in self._students and not shown.student:
            log_student(self._client, self._experiment_id, progress.run_id, self._students[source.id])
            shown.student = True
            self._sent.students += 1

    def _send_params(self, run_id: str, shown: _Shown, params: dict[str, str]) -> None:
        from mlflow.entities import Param

        # parameters are immutable, and an attempt to change one fails its whole batch
        missing = [Param(name, value) for name, value in params.items() if name not in shown.params]
        for start in range(0, len(missing), _PARAMS_PER_BATCH):
            batch = missing[start : start + _PARAMS_PER_BATCH]
            self._client.log_batch(run_id, params=batch)
            shown.params |= {param.key for param in batch}

    def _send_data(self, run_id: str, shown: _Shown, data: Sequence[Data]) -> None:
        missing = [each for each in data if each.name not in shown.data]
        if missing:
            self._client.log_inputs(run_id, [each.as_input() for each in missing])
            shown.data |= {each.name for each in missing}

    def _send_events(self, source: Source, progress: Progress, events: list[Metrics | Artifact]) -> None:
        from mlflow.entities import Metric

        if len(events) <= progress.sent and not progress.doubt:
            return
        on_server = self._on_server(progress.run_id) if progress.doubt else Counter()
        progress.doubt = True
        batch = _Batch()
        for index in range(0 if on_server else progress.sent, len(events)):
            event = events[index]
            if isinstance(event, Artifact):
                if index >= progress.sent:
                    self._flush(progress, batch, index)
                    self._send_artifact(source, progress.run_id, event)
                    progress.sent = index + 1
                    self._sent.events += 1
                continue
            new = []
            for name, value in event.values.items():
                key = (_legal(name), event.step)
                if on_server[key] > 0:
                    on_server[key] -= 1
                elif index >= progress.sent:
                    new.append(Metric(key[0], value, event.time, event.step))
            if len(batch.metrics) + len(new) > _METRICS_PER_BATCH:
                self._flush(progress, batch, index)
            batch.metrics += new
            batch.events += bool(new)
        self._flush(progress, batch, len(events))
        # after a resume from a checkpoint the server has more than the journal: query it again next time
        progress.doubt = on_server.total() > 0

    def _flush(self, progress: Progress, batch: _Batch, upto: int) -> None:
        """Send and clear `batch`; afterwards the server has the first `upto` events."""
        for start in range(0, len(batch.metrics), _METRICS_PER_BATCH):
            self._client.log_batch(progress.run_id, metrics=batch.metrics[start : start + _METRICS_PER_BATCH])
        self._sent.events += batch.events
        batch.metrics, batch.events = [], 0
        progress.sent = max(progress.sent, upto)

    def _on_server(self, run_id: str) -> Counter[tuple[str, int]]:
        """Number of values that the run has for each (metric name, step)."""
        names = self._client.get_run(run_id).data.metrics
        return Counter(
            (name, metric.step) for name in names for metric in self._client.get_metric_history(run_id, name)
        )

    def _send_artifact(self, source: Source, run_id: str, event: Artifact) -> None:
        path = (source.folder / event.path).resolve()
        # The path is checked because an edited journal could name any file of the machine. A missing file was
        # removed since.
        if path.is_relative_to(source.folder.resolve()) and path.exists():
            folder = Path(event.path).parent.as_posix()
            self._client.log_artifact(run_id, str(path), None if folder == "." else folder)

    def _send_status(self, run_id: str, status: str, events: list[Event]) -> None:
        last = next(event for event in reversed(events) if isinstance(event, Status))
        if last.message:
            self._client.set_tag(run_id, "qcrd.message", last.message[:_LONGEST_VALUE])
        if status == "RUNNING":
            self._client.update_run(run_id, status=status)
        else:
            self._client.set_terminated(run_id, status, end_time=events[-1].time)

    def _status(self, events: list[Event]) -> str | None:
        last = next((event.status for event in reversed(events) if isinstance(event, Status)), None)
        if last == "running" and not self._live:
            last = "stopped"
        return _STATUS[last] if last else None

    def _pending(self) -> int:
        waiting = 0
        for source in self._sources:
            if self._tails[source.id].settled:
                continue
            progress = self._progress.get(source.id)
            events = _countable(self._tails[source.id].events())
            waiting += max(0, len(events) - (progress.sent if progress else 0))
        return waiting


def _countable(events: list[Event]) -> list[Metrics | Artifact]:
    """Events that the server must get exactly once; of statuses and parameters only the last matters."""
    return [event for event in events if isinstance(event, Metrics | Artifact)]


def _params(source: Source, events: list[Event]) -> dict[str, str]:
    merged = dict(source.params)
    for event in events:
        if isinstance(event, Params):
            merged |= event.values
    return {_legal(name): str(value)[:_LONGEST_VALUE] for name, value in merged.items()}


def _legal(name: str) -> str:
    """`name` with characters replaced that MLflow does not allow."""
    return re.sub(r"[^\w.\-: /]", "_", name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without a passwd entry for its user
        return "unknown"
