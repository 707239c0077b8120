"""Mirrors the journals of a grid into an MLflow server: one parent run, one child run per cell.

It reads journals and never writes them, so nothing here can disturb a training. The server gets every
metric once, though pushes fail half-way, processes are killed and cells rewind: each run's count of events
sent is kept in `mlflow.json`; while a push is under way, or the count is lost, the run is in doubt, and the
server itself is asked what it has.
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
from qcrd.tracking.mlflow.experiment import find_or_create, furnish
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
    """What reached the server in one push."""

    events: int = 0
    made: int = 0  # runs
    moved: int = 0  # runs
    students: int = 0


@dataclass(slots=True)
class _Shown:
    """What the server shows of a run, as read when connecting and changed since."""

    status: str
    params: set[str]
    data: set[str]  # names of data sets
    student: bool  # whether it has a logged model


@dataclass(slots=True)
class _Batch:
    """Metrics of some events, on their way."""

    metrics: list[Any] = field(default_factory=list)
    events: int = 0


class Mirror:
    """Brings one grid's journals to one server, as often as `push` is called.

    Args:
        uri: tracking URI, such as http://127.0.0.1:5000.
        experiment: name of the experiment (the grid's name).
        grid: the grid, whose folder also gets the state file. Its own journal tells the parent run's
            status, summary metrics and artifacts.
        cells: the cells, finished ones included. A cell gets its run once its journal has something.
        live: whether cells may be running. Where not (`qcrd sync` after a crash), a journal that
            ends with "running" is shown as killed.
        varied: names of the parameters that the grid varies, against which the page draws accuracy.
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
        self._tails = self._untouched()
        self._students: dict[str, Student] = {}
        self._client: Any = None
        self._experiment_id = ""  # until it is connected
        self._connected = False
        self._lock = threading.Lock()
        self._sent = _Sent()

    def push(self) -> Report:
        """Send what the server lacks; never raises for trouble with the server, but reports it."""
        with self._lock:
            self._sent = _Sent()
            try:
                error = self._push()
            except Exception as trouble:  # whatever the client library raises, training must go on
                error = one_line(trouble)
            if error:
                self._connected = False  # look again at what there is before sending more
            sent = self._sent
            return Report(sent.events, self._pending(), error, sent.made, sent.moved, sent.students)

    def offer(self, students: Mapping[str, Student]) -> None:
        """Have the next push log these students, by cell; those that were logged before stay."""
        self._students = dict(students)

    def page(self) -> Page | None:
        """Where people look at the grid; None before the first push, and where the uri is no address."""
        progress = self._progress.get(self._grid.id)
        if not self._experiment_id or not progress or not self.uri.startswith("http"):
            return None
        return Page(self.uri, self._experiment_id, self._grid.id, progress.run_id)

    def _untouched(self) -> dict[str, Tail]:
        return {source.id: Tail(source.folder / journal.FILE) for source in self._sources}

    def _push(self) -> str | None:
        if not self._connected:
            self._connect()
        news = [source for source in self._sources if self._is_news(source)]
        if not news:
            return None
        errors = []
        doubts = {i: self._progress[i].doubt for i in (s.id for s in news) if i in self._progress}
        for i in doubts:
            self._progress[i].doubt = True
        save(self._state, self.uri, self._progress)  # on disk all are in doubt until they are through
        for i, doubt in doubts.items():
            self._progress[i].doubt = doubt
        try:
            for source in news:
                try:
                    self._bring(source)
                except Exception as trouble:
                    errors.append(f"{source.name}: {one_line(trouble)}")
                    if not is_refusal(trouble):
                        break  # the server, not the run: the others would fail as well
        finally:
            save(self._state, self.uri, self._progress)
        return errors[0] if errors else None

    def _connect(self) -> None:
        """Find or create the experiment and the parent; find the children that there are."""
        if self._client is None:
            self._client = open_client(self.uri)
        self._experiment_id, tags = find_or_create(self._client, self._experiment)
        found: dict[str, dict[str, Any]] = {}
        for run in all_runs(self._client, self._experiment_id, f"tags.`qcrd.grid_id` = '{self._grid.id}'"):
            found.setdefault(run.data.tags.get("qcrd.cell", self._grid.id), {})[run.info.run_id] = run
        self._shown = {}
        for source in self._sources:
            runs = found.get(source.id, {})
            known = self._progress.get(source.id)
            if known is None or known.run_id not in runs:  # new, deleted, or created just before a crash
                self._progress.pop(source.id, None)
                if not runs:
                    continue
                self._progress[source.id] = known = Progress(run_id=next(iter(runs)))
            run = runs[known.run_id]
            self._shown[source.id] = _Shown(
                run.info.status,
                set(run.data.params),
                {each.dataset.name for each in run.inputs.dataset_inputs},
                bool(run.outputs.model_outputs),
            )
        if self._grid.id not in self._progress:
            self._create(self._grid, {})
        former = self._adopt(found)
        with suppress(Exception):  # a page without its view is no reason to send nothing
            own = self._progress[self._grid.id].run_id
            page = Page(self.uri, self._experiment_id, self._grid.id, own)
            furnish(self._client, page, tags, self._grid, self._varied, former)
        self._tails = self._untouched()  # it may have lost what it had
        self._connected = True

    def _adopt(self, found: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Hang the cells' runs under the grid's, which is another where theirs was deleted.

        Returns:
            The ids of the runs under which they were.
        """
        own, former = self._progress[self._grid.id].run_id, set()
        for source in self._sources:
            known = self._progress.get(source.id)
            if source is self._grid or known is None:
                continue
            before = found[source.id][known.run_id].data.tags.get(_PARENT)
            if before != own:
                self._client.set_tag(known.run_id, _PARENT, own)
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

    def _is_news(self, source: Source) -> bool:
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

    def _bring(self, source: Source) -> None:
        """Make the server's run equal to the source's journal."""
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

        # a parameter cannot be changed once it is there, and an attempt fails its whole batch
        missing = [Param(name, value) for name, value in params.items() if name not in shown.params]
        for start in range(0, len(missing), _PARAMS_PER_BATCH):
            batch = missing[start : start + _PARAMS_PER_BATCH]
            self._client.log_batch(run_id, params=batch)
            shown.params |= {param.key for param in batch}

    def _send_data(self, run_id: str, shown: _Shown, data: Sequence[Data]) -> None:
        lacking = [each for each in data if each.name not in shown.data]
        if lacking:
            self._client.log_inputs(run_id, [each.as_input() for each in lacking])
            shown.data |= {each.name for each in lacking}

    def _send_events(self, source: Source, progress: Progress, events: list[Metrics | Artifact]) -> None:
        from mlflow.entities import Metric

        if len(events) <= progress.sent and not progress.doubt:
            return
        there = self._on_server(progress.run_id) if progress.doubt else Counter()
        progress.doubt = True
        batch = _Batch()
        for index in range(0 if there else progress.sent, len(events)):
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
                if there[key] > 0:
                    there[key] -= 1
                elif index >= progress.sent:
                    new.append(Metric(key[0], value, event.time, event.step))
            if len(batch.metrics) + len(new) > _METRICS_PER_BATCH:
                self._flush(progress, batch, index)
            batch.metrics += new
            batch.events += bool(new)
        self._flush(progress, batch, len(events))
        # the server still has more where the journal was rewound: ask again once it has grown
        progress.doubt = there.total() > 0

    def _flush(self, progress: Progress, batch: _Batch, upto: int) -> None:
        """Send `batch`, after which the first `upto` events are known to be there; empties it."""
        for start in range(0, len(batch.metrics), _METRICS_PER_BATCH):
            self._client.log_batch(progress.run_id, metrics=batch.metrics[start : start + _METRICS_PER_BATCH])
        self._sent.events += batch.events
        batch.metrics, batch.events = [], 0
        progress.sent = max(progress.sent, upto)

    def _on_server(self, run_id: str) -> Counter[tuple[str, int]]:
        """How often the run has each (metric name, step)."""
        names = self._client.get_run(run_id).data.metrics
        return Counter(
            (name, metric.step) for name in names for metric in self._client.get_metric_history(run_id, name)
        )

    def _send_artifact(self, source: Source, run_id: str, event: Artifact) -> None:
        path = (source.folder / event.path).resolve()
        # A line that was changed by hand could name any file of the machine. One that is not there was
        # removed since, and never will be.
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
    """Events that a server must get exactly once; of statuses and parameters only the last matters."""
    return [event for event in events if isinstance(event, Metrics | Artifact)]


def _params(source: Source, events: list[Event]) -> dict[str, str]:
    merged = dict(source.params)
    for event in events:
        if isinstance(event, Params):
            merged |= event.values
    return {_legal(name): str(value)[:_LONGEST_VALUE] for name, value in merged.items()}


def _legal(name: str) -> str:
    """`name` with what MLflow refuses in names replaced."""
    return re.sub(r"[^\w.\-: /]", "_", name)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container without an entry for its user
        return "unknown"
