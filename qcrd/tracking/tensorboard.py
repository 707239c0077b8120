"""Writes a cell's journal as TensorBoard event files."""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from qcrd.storage import journal

_PLAIN = (bool, int, float, str)  # types of hyperparameters that TensorBoard takes


def write(
    target: Path, journal_folder: Path, params: Mapping[str, Any], accuracy: Mapping[str, float]
) -> int:
    """Replace a run's folder by the event files of a journal.

    Values that are no number are left out. Times are those of the journal, so a second call writes the same.

    Args:
        target: the run's folder below TensorBoard's `--logdir`.
        journal_folder: the cell's folder.
        params: settings, for TensorBoard's page of hyperparameters.
        accuracy: results in percent, for the same page; empty while the cell is not finished.

    Returns:
        Number of values written.
    """
    from tensorboardX import SummaryWriter
    from tensorboardX.summary import hparams

    shutil.rmtree(target, ignore_errors=True)
    count = 0
    with SummaryWriter(str(target), write_to_disk=True) as writer:
        step = 0
        for event in journal.read(journal_folder / journal.FILE):
            if isinstance(event, journal.Metrics):
                step = event.step
                for name, value in event.values.items():
                    if math.isfinite(value):
                        writer.add_scalar(name, value, event.step, walltime=event.time / 1000)
                        count += 1
        results = {f"result/{split}": value for split, value in accuracy.items()}
        if results:  # not by `add_hparams`, which opens a second file, often of the same name
            settings = {
                key: value if isinstance(value, _PLAIN) else str(value) for key, value in params.items()
            }
            for summary in hparams(settings, results):
                writer.file_writer.add_summary(summary)
            for name, value in results.items():
                writer.add_scalar(name, value, step)
    return count
