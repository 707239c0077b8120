"""Copies a grid's journals into the files of other trackers: TensorBoard, Weights & Biases."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from qcrd.errors import DataError
from qcrd.grid.console import counted
from qcrd.grid.plan.study import Study
from qcrd.grid.run.mlflow_runs import sources
from qcrd.storage import journal
from qcrd.tracking import tensorboard, wandb_offline

Tracker = Literal["tensorboard", "wandb"]


def copy_journals(study: Study, tracker: Tracker, out: Path) -> str:
    """Write a run for each cell that has begun; earlier copies are replaced.

    Args:
        study: the grid.
        tracker: whose files to write.
        out: their folder.

    Returns:
        What was written and how to look at it, as a sentence.

    Raises:
        DataError: if no cell has begun.
        ConfigError: if the tracker's package is not installed.
    """
    runs = values = 0
    folder = out / study.grid.name
    for source in sources(study)[1]:
        if not (source.folder / journal.FILE).exists():
            continue
        record = study.home.record(source.id)
        accuracy = record.accuracy if record else {}
        if tracker == "tensorboard":
            values += tensorboard.write(folder / source.name, source.folder, source.params, accuracy)
        else:
            tags = [source.tags["qcrd.method"], source.tags["qcrd.task"]]
            values += wandb_offline.write(
                folder, study.grid.name, source.id, source.name, source.folder, source.params, tags, accuracy
            )
        runs += 1
    if not runs:
        raise DataError(f"{study.grid.name}: no cell has begun, so there is nothing to copy; `qcrd run` it")
    look = "tensorboard --logdir {}" if tracker == "tensorboard" else "wandb sync {}/wandb/offline-run-*"
    return f"{counted(runs, 'run')} with {values:,} values; see them with: {look.format(folder)}"
