"""Cells under Ray Tune: reused actors, fractional resources, bounded retries.

Tune places, starts and retries; it keeps nothing. A cell's own folder holds its checkpoints and results, so a
retry, and a whole new run of the grid, goes on from there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.cell.run import run_cell
from qcrd.config import Cell, Resources
from qcrd.errors import QcrdError
from qcrd.plugins import carried
from qcrd.storage.home import Home
from qcrd.storage.tensors import DamagedTensors
from qcrd.training import memory
from qcrd.training.trainer import Progress
from qcrd.types import CellRecord

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # journals are the log
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # the driver stops the grid itself
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "16")

from ray import tune
from ray.exceptions import RayActorError

REPORT_SECONDS = 2.0
FULL = "low on memory"  # in Ray's words for what its memory monitor ended; Tune keeps these, but not the type


Run = Callable[..., CellRecord]
"""Called as `run_cell`."""


def train_cell(config: dict[str, Any], run: Run = run_cell) -> None:
    """Tune's function trainable: one cell."""
    import torch

    torch.set_num_threads(config["threads"])
    memory.freeze_gc()
    last = 0.0

    def report(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= REPORT_SECONDS:
            last = now
            accuracy = progress.accuracy.get("validation")
            tune.report(
                {
                    "step": progress.step,
                    "steps": progress.steps,
                    "loss": progress.loss,
                    "validation": accuracy,
                }
            )

    cell = resolve(Cell.model_validate_json(config["settings"]))
    try:
        record = run(
            cell,
            config["name"],
            Home.at(Path(config["home"]), config["store"]),
            report,
            config["keep_student"],
        )
    except DamagedTensors:  # a file went bad on the disk: the next attempt goes on from what is whole
        raise
    except QcrdError as error:  # settings, data, memory: once more would end the same way
        tune.report({"status": "failed", "reason": f"{type(error).__name__}: {error}"})
        return
    finally:
        memory.release()  # the next cell has the same process, others the same machine
    tune.report({"status": record.status, "seconds": record.seconds, **record.accuracy})


def train_cells(
    cells: Sequence[tuple[str, ResolvedCell]],
    home: Home,
    storage: Path,
    resources: Resources,
    gpus: float,
    watch: tune.Callback,
    run: Run = run_cell,
    reuse: bool = True,
) -> dict[str, str]:
    """Train the cells; returns the ids of those that failed for good, with the reason.

    A cell whose process died is started again; one that said itself why it cannot go on is not.

    Args:
        cells: name and cell; a worker resolves it again from its settings.
        home: shared by all nodes.
        storage: where Tune keeps its notes meanwhile, shared too; nobody else uses it, and it goes.
        resources: of the grid.
        gpus: share of one cell.
        watch: told of every result.
        run: what trains one.
        reuse: whether a worker goes on to the next cell; where not, each gets a process of its own.
    """
    from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
    from ray.tune.search.basic_variant import BasicVariantGenerator

    own = [{"id": cell.id, "name": name, "settings": cell.settings.model_dump_json()} for name, cell in cells]
    common = {
        "home": str(home.root),
        "store": home.store,
        "threads": max(1, int(resources.cell_cpus)),
        "keep_student": resources.keep_students,
    }
    shutil.rmtree(storage, ignore_errors=True)  # of a driver that was killed
    trainable = tune.with_resources(
        _one(carried(partial(train_cell, run=run))), {"cpu": resources.cell_cpus, "gpu": gpus}
    )
    tuner = Tuner(
        trainable,
        param_space={**dict.fromkeys(("id", "name", "settings")), **common},
        tune_config=TuneConfig(
            # Points that it is given, and no grid_search: that copies all of them for each, so that ten
            # thousand cells would begin after hours.
            search_alg=BasicVariantGenerator(own, max_concurrent=resources.concurrent_cells or 0),
            num_samples=len(own),
            reuse_actors=reuse,
            trial_name_creator=lambda trial: trial.config["id"],
            trial_dirname_creator=lambda trial: trial.config["id"],
        ),
        run_config=RunConfig(
            name=storage.name,
            storage_path=str(storage.parent),
            failure_config=FailureConfig(max_failures=resources.retries),
            callbacks=[watch],
            verbose=0,
        ),
    )
    failed = {}
    for result in tuner.fit():
        cell_id = Path(result.path).name  # a process that died before its first word left no settings
        if result.error is not None:
            failed[cell_id] = _reason(result.error)
        elif result.metrics["status"] == "failed":
            failed[cell_id] = result.metrics["reason"]
    shutil.rmtree(storage, ignore_errors=True)
    return failed


def _reason(error: Exception | str) -> str:
    """Why a cell was given up, in a line."""
    text = str(error).strip()
    full = FULL in text
    if full or isinstance(error, RayActorError):
        what = "because the memory was full" if full else "(often because memory is full)"
        return (
            f"its process was killed in every attempt {what}; lower training.batch, or "
            "resources.concurrent_cells so that fewer cells share a machine"
        )
    return text.splitlines()[-1]


def _one(function):
    def trainable(config: dict[str, Any]) -> None:
        function(config)

    return trainable
