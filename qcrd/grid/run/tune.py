"""Trains cells with Ray Tune: reused actors, fractional resources, bounded retries.

Tune schedules, starts and retries cells but stores no results. A cell's own folder has its checkpoints and
results, so a retry or a new run of the grid resumes from there.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell, Resources
from qcrd.errors import QcrdError
from qcrd.plugins import carried
from qcrd.quick_imports import quick_model_imports
from qcrd.storage.home import Home
from qcrd.types import CellRecord

os.environ.setdefault("TUNE_DISABLE_AUTO_CALLBACK_LOGGERS", "1")  # cells write journals instead
os.environ.setdefault("TUNE_DISABLE_SIGINT_HANDLER", "1")  # the driver stops the grid itself
os.environ.setdefault("RAY_AIR_NEW_OUTPUT", "0")
os.environ.setdefault("RAY_CHDIR_TO_TRIAL_DIR", "0")
os.environ.setdefault("TUNE_MAX_PENDING_TRIALS_PG", "16")

from ray import tune
from ray.exceptions import RayActorError

if TYPE_CHECKING:
    from qcrd.training.trainer import Progress

REPORT_SECONDS = 2.0  # minimum time between two reports of a cell
OUT_OF_MEMORY = "low on memory"  # from the error of Ray's memory monitor; Tune keeps its text, not its type


Run = Callable[..., CellRecord]
"""A function with the signature of `run_cell`."""


def train_cell(config: dict[str, Any], run: Run | None = None) -> None:
    """Train one cell with `run`, or with `run_cell` if it is None; Tune's function trainable."""
    # Only workers need torch and transformers; importing them would take the driver longer than its start.
    with quick_model_imports():
        import torch

        from qcrd.storage.tensors import DamagedTensors
        from qcrd.training import memory

        if run is None:
            from qcrd.cell.run import run_cell

            run = run_cell

    torch.set_num_threads(config["threads"])
    memory.freeze_gc()
    last_report = 0.0

    def report(progress: Progress) -> None:
        nonlocal last_report
        now = time.monotonic()
        if now - last_report >= REPORT_SECONDS:
            last_report = now
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
    except DamagedTensors:  # a file is damaged on disk; the next attempt resumes from the undamaged ones
        raise
    except QcrdError as error:  # settings, data, memory: a retry would fail in the same way
        tune.report({"status": "failed", "reason": f"{type(error).__name__}: {error}"})
        return
    finally:
        memory.release()  # the next cell uses the same process, others the same machine
    tune.report({"status": record.status, "seconds": record.seconds, **record.accuracy})


def train_cells(
    cells: Sequence[tuple[str, ResolvedCell]],
    home: Home,
    storage: Path,
    resources: Resources,
    gpus: float,
    watch: tune.Callback,
    run: Run | None = None,
    reuse: bool = True,
) -> dict[str, str]:
    """Train cells.

    A cell is retried if its process died, but not if it reported an error by itself.

    Args:
        cells: names and cells; workers resolve a cell again from its settings.
        home: home of the results, shared by all nodes.
        storage: folder for Tune's temporary files, shared by all nodes; deleted at the end.
        resources: the grid's resources.
        gpus: GPUs per cell.
        watch: callback for every result.
        run: trains one cell; None: `run_cell`.
        reuse: whether a worker trains several cells; if not, each cell gets a new process.

    Returns:
        The reason by id of each cell that failed.
    """
    from ray.tune import FailureConfig, RunConfig, TuneConfig, Tuner
    from ray.tune.search.basic_variant import BasicVariantGenerator

    points = [
        {"id": cell.id, "name": name, "settings": cell.settings.model_dump_json()} for name, cell in cells
    ]
    common = {
        "home": str(home.root),
        "store": home.store,
        "threads": resources.cell_threads,
        "keep_student": resources.keep_students,
    }
    shutil.rmtree(storage, ignore_errors=True)  # left by a driver that was killed
    trainable = tune.with_resources(
        _as_function(carried(partial(train_cell, run=run))), {"cpu": resources.cell_cpus, "gpu": gpus}
    )
    tuner = Tuner(
        trainable,
        param_space={**dict.fromkeys(("id", "name", "settings")), **common},
        tune_config=TuneConfig(
            # Explicit points instead of grid_search, which copies all points for each one: ten thousand
            # cells would start only after hours.
            search_alg=BasicVariantGenerator(points, max_concurrent=resources.concurrent_cells or 0),
            num_samples=len(points),
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
        cell_id = Path(result.path).name  # the config is missing if the process died before its first report
        if result.error is not None:
            failed[cell_id] = _reason(result.error)
        elif result.metrics["status"] == "failed":
            failed[cell_id] = result.metrics["reason"]
    shutil.rmtree(storage, ignore_errors=True)
    return failed


def _reason(error: Exception | str) -> str:
    """Why a cell failed, in one line."""
    text = str(error).strip()
    out_of_memory = OUT_OF_MEMORY in text
    if out_of_memory or isinstance(error, RayActorError):
        cause = "because memory was full" if out_of_memory else "(often because memory is full)"
        return (
            f"its process was killed in every attempt {cause}; lower training.batch, or "
            "resources.concurrent_cells so that fewer cells share a machine"
        )
    return text.splitlines()[-1]


def _as_function(function: Callable[[dict[str, Any]], None]) -> Callable[[dict[str, Any]], None]:
    """A plain function, which Tune requires, that calls `function`."""

    def trainable(config: dict[str, Any]) -> None:
        function(config)

    return trainable
