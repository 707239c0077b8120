"""A grid whose cells train in a second, and the command line that works it off."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch
from forked import Command

from qcrd import cli
from qcrd.cell.run import run_cell
from qcrd.faults import soak
from qcrd.grid.plan.overview import plan_object
from qcrd.grid.plan.study import Study
from qcrd.grid.results.rows import tables
from qcrd.report.model import Table
from qcrd.samples.draw import draw
from qcrd.storage.home import Home
from qcrd.teacher.recorded import RecordedTeacher

SIZES = {"train": 24, "validation": 8, "test": 12}
GRID = """
name: tiny
preset: embedded
base:
  task: {{train: 24, validation: 8, test: 12}}
  teacher: {{engine: recorded, path: {answers}, model: embedded}}
  student: {{architecture: {{d_model: 16, d_kv: 4, d_ff: 16, layers: 1, heads: 2}}, max_rationale: 24}}
  discriminator:
    architecture: {{d_model: 16, d_kv: 4, d_ff: 16, layers: 1, heads: 2}}
    pretrain_steps: 4
    update_steps: 1
  training: {{steps: {steps}, batch: 8, evaluate_every: {every}}}
  rationales: {{m: 3}}
{rest}
"""


def recorded_answers(path: Path) -> Path:
    """Three answers a question as a teacher would give them, the last one wrong; written to `path`."""
    path.write_text("".join(soak.recorded_answers(SIZES)))
    return path


class Run:
    """The command line in a home of its own."""

    def __init__(self, folder: Path, answers: Path, rest: str, steps: int = 6, every: int = 3):
        self.grid = folder / "tiny.yaml"
        self.home = folder / "home"
        self.started = 0  # processes
        self.grid.write_text(GRID.format(answers=answers, rest=rest, steps=steps, every=every))
        self.environment = {**os.environ, "QCRD_HOME": str(self.home)}
        for name in ("RAY_ADDRESS", "MLFLOW_TRACKING_URI"):
            self.environment.pop(name, None)

    def start(self, *arguments: str, files: int | None = None) -> Command:
        """The command in a process of its own, which may open so many files."""
        self.started += 1
        return Command(arguments, self.environment, self.grid.with_name(f"output-{self.started}"), files)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What the command says; what starts Ray needs a process of its own."""
        if arguments[0] not in ("run", "sample"):
            return self.here(*arguments, code=code)
        process = self.start(*arguments)
        output, _ = process.communicate(timeout=280)
        assert process.returncode == code, output
        return output

    def here(self, *arguments: str, code: int = 0) -> str:
        """The same in this process, which has imported everything."""
        output = io.StringIO()
        with (
            mock.patch.dict(os.environ, self.environment, clear=True),
            mock.patch.object(sys, "argv", ["qcrd", *arguments]),
            contextlib.redirect_stdout(output),
            contextlib.redirect_stderr(output),
            pytest.raises(SystemExit) as ended,
        ):
            cli.main()
        assert (ended.value.code or 0) == code, output.getvalue()
        return output.getvalue()

    def plan(self) -> dict:
        return plan_object(Study.open(self.grid, Home(self.home)))

    def in_process(self) -> None:
        """The same work without Ray, in one thread as a cell has."""
        torch.set_num_threads(1)
        study = Study.open(self.grid, Home(self.home))
        for need, store, requests, _ in study.samples():
            draw(store, requests, RecordedTeacher(need.teacher.path), lambda *_: None)
        for planned in study.cells:
            run_cell(planned.cell, planned.name, study.home)

    def table(self) -> Table:
        return tables(Study.open(self.grid, Home(self.home)))

    def written(self) -> dict[str, int]:
        """When each record and shard was written."""
        files = (*self.home.glob("cells/*/record.json"), *self.home.glob("samples/*/*.parquet"))
        return {str(file): file.stat().st_mtime_ns for file in files}

    def results(self) -> dict[str, str]:
        """Predictions and final weights of each cell."""
        found = {}
        for cell in self.plan()["cells"]:
            folder = self.home / "cells" / cell["id"]
            weights = (folder / "student" / "model.safetensors").read_bytes()
            found[cell["name"]] = (folder / "predictions.json").read_text() + weights.hex()
        return found
