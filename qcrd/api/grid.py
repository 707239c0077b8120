"""A grid to be planned, run and read from Python."""

from __future__ import annotations

import json
import os
import signal
import threading
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from qcrd.api.cell import GridCell
from qcrd.environment import prepare
from qcrd.errors import ConfigError
from qcrd.grid.plan.changes import Changes
from qcrd.grid.plan.shipped_folder import shipped_grid
from qcrd.grid.plan.study import Study
from qcrd.storage.home import Home
from qcrd.tracking.address import without_password

if TYPE_CHECKING:
    import datasets
    import pandas as pd

PresetName = Literal["auto", "embedded", "paper"]
Split = Literal["train", "validation", "test"]


def load_grid(
    path: str | Path,
    preset: PresetName | None = None,
    home: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> Grid:
    """Read a grid and check all of its cells; nothing is drawn or trained.

    Args:
        path: the YAML file, or the name of a grid that comes with qcrd, such as quickstart.
        preset: overrides the file's preset; auto is the preset of the grid's last run, else paper where this
            machine has GPUs.
        home: folder of results and samples; None: QCRD_HOME (default ~/.qcrd), with the bucket of QCRD_STORE.
        settings: values that replace those of the file, as `--set` does: {"beta": 0.3, "seeds": 5}.
        limit: a short trial, as `--limit`: at most so many questions of each split, and training steps.

    Raises:
        ConfigError: with one line `file:line: field: ...` for each error in the file.
        DataError: if the data of a task cannot be loaded.
    """
    prepare()
    folder = Home.default() if home is None else Home.at(Path(home).expanduser().absolute(), None)
    if not Path(path).exists():
        path = shipped_grid(str(path)) or path
    file = Path(path).absolute()  # the working folder may change before it is run
    changes = Changes(tuple(f"{name}={_yaml(value)}" for name, value in (settings or {}).items()), limit)
    return Grid(file, Study.open(file, folder, preset, changes=changes), preset)


def _yaml(value: Any) -> str:
    """A value in YAML's notation, of which JSON's is a part if characters are not escaped by halves."""
    return json.dumps(value, ensure_ascii=False, default=str)  # str: of a path


def results(
    path: str | Path,
    preset: PresetName | None = None,
    home: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """One row a cell of a grid, as `Grid.results` describes; arguments as of `load_grid`."""
    return load_grid(path, preset, home, settings, limit).results()


def teacher_samples(
    path: str | Path,
    split: Split = "train",
    preset: PresetName | None = None,
    home: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> datasets.Dataset:
    """The stored answers of a grid's teachers; see `Grid.samples`. Other arguments as of `load_grid`."""
    return load_grid(path, preset, home, settings, limit).samples(split)


@dataclass(frozen=True)
class Grid:
    """A grid in one preset, with its cells.

    Attributes:
        path: its file.
        study: the plan that the command line works with too.
        preset: the preset that was asked for, if any; `study.preset` is the one that holds.
    """

    path: Path
    study: Study
    preset: PresetName | None = None

    def __repr__(self) -> str:
        return f"<grid {self.name}, preset {self.study.preset}, {len(self.cells)} cells>"

    @property
    def name(self) -> str:
        """Its name."""
        return self.study.grid.name

    @cached_property
    def cells(self) -> tuple[GridCell, ...]:
        """Its cells, sorted by seed."""
        return tuple(GridCell(self.study, planned) for planned in self.study.cells)

    def cell(self, name: str) -> GridCell:
        """The cell with this name (with or without its seed), or whose id begins so.

        Raises:
            ConfigError: if there is none, or several.
        """
        return GridCell(self.study, self.study.find(name))

    def plan(self) -> dict[str, Any]:
        """What `qcrd plan --json` prints: cells with their states, samples to draw, warnings, estimates."""
        from qcrd.doctor.hub import unasked_if_out_of_reach
        from qcrd.grid.plan.checkpoints import needs_hub
        from qcrd.grid.plan.overview import plan_object

        asks_hub = needs_hub(cell.settings for cell in self.cells)
        with unasked_if_out_of_reach() if asks_hub else nullcontext():
            return plan_object(self.study)

    def run(self, tracking: str | None = None, only: Sequence[str] = (), again: Sequence[str] = ()) -> bool:
        """Run the grid, or resume it: joins the Ray cluster of RAY_ADDRESS, else starts Ray on this machine.

        Load the grid before you import ray, so that a Ray that is started here listens on loopback only.

        Args:
            tracking: MLflow's tracking URI; None: MLFLOW_TRACKING_URI, and without one only the local
                journals are written, for a later `qcrd sync`.
            only: cells to run: methods, names, patterns (*beta*), ids or states (failed); (): all.
            again: cells whose results are deleted first.

        Returns:
            Whether every cell that was to be run has a result.

        Raises:
            ConfigError: if this is not the main thread, which alone can be interrupted.
            KeyboardInterrupt: on SIGINT or SIGTERM, after cells and runs are marked as stopped; a second call
                continues.
        """
        if threading.current_thread() is not threading.main_thread():
            raise ConfigError("a grid runs in the main thread only, where a signal can stop it")
        from qcrd.grid.plan.file import read_grid
        from qcrd.grid.run.driver import run

        before = signal.getsignal(signal.SIGTERM)
        tracking = without_password(tracking or os.environ.get("MLFLOW_TRACKING_URI") or None)
        try:
            file = read_grid(self.path, self.study.changes)
            return run(file, self.study.home, self.preset, tracking, only, again)
        finally:
            signal.signal(signal.SIGTERM, before)

    def results(self) -> pd.DataFrame:
        """One row a cell, finished or not.

        Columns: name, id, state, method, task, seed; by its short name (`qcrd settings`) each other setting
        in which the cells differ, or that the grid sets over its preset (by its path if that is a column
        already: task.own.id); accuracy_test (at the step chosen on
        validation), accuracy_validation, accuracy_test_last, accuracy_test_best and accuracy_test_votes (of
        `evaluation.votes`) in percent; chosen_step;
        seconds; cost_teacher_tokens, cost_student_tflop; message (of cells that failed or diverged).

        Raises:
            DamagedResult: if a result is corrupted.
        """
        from qcrd.api.frames import results

        return results(self.cells, self.study.preset)

    def samples(self, split: Split = "train") -> datasets.Dataset:
        """The stored answers of the grid's teachers to one split, one row an answer.

        Columns are those of `qcrd samples export` (`qcrd.export.samples.COLUMNS`), among them task, split,
        question_id, question (as the student reads it), gold, index (of the draw, from 0), answer (the raw
        text), rationale and label (as read from it), right (whether the label is the gold one; None if
        unreadable), unread (why it could not be read), model, prompt.

        Raises:
            DataError: if none is drawn yet.
        """
        from qcrd.api.frames import samples

        return samples(self.study, split)

    def table(self, format: Literal["md", "csv", "json", "latex"] = "md") -> str:
        """What `qcrd table` prints: the finished cells with means over seeds, intervals and comparisons."""
        from qcrd.grid.results.rows import tables
        from qcrd.report.formats import render

        return render(tables(self.study), format)
