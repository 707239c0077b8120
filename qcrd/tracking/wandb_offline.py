"""Writes a cell's journal as an offline run of Weights & Biases, which `wandb sync` uploads."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from qcrd.errors import ConfigError
from qcrd.storage import journal


def write(
    out: Path,
    project: str,
    run_id: str,
    name: str,
    journal_folder: Path,
    params: Mapping[str, Any],
    tags: Sequence[str],
    accuracy: Mapping[str, float],
) -> int:
    """Replace a cell's offline run. Nothing is sent anywhere.

    Args:
        out: folder of the offline runs (`wandb/` is created in it).
        project: name of the grid.
        run_id: the cell's id, under which a repeated upload goes to the same run.
        name: of the cell.
        journal_folder: the cell's folder.
        params: settings, as the run's configuration.
        tags: of the run.
        accuracy: results in percent, as the run's summary.

    Returns:
        Number of values written.

    Raises:
        ConfigError: if wandb is not installed.
    """
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    try:
        import wandb
    except ImportError as error:
        raise ConfigError("--to wandb needs the package wandb: pip install 'qcrd[wandb]'") from error

    out.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(dir=out))  # runs are named by the second, so that two could collide
    run = wandb.init(
        mode="offline",
        dir=str(new),
        project=project,
        id=run_id,
        name=name,
        config=dict(params),
        tags=list(tags),
        reinit="finish_previous",
        settings=wandb.Settings(
            console="off", silent=True, disable_git=True, save_code=False, x_disable_stats=True
        ),
    )
    count = 0
    for event in journal.read(journal_folder / journal.FILE):
        if isinstance(event, journal.Metrics):
            values = {key: value for key, value in event.values.items() if math.isfinite(value)}
            run.log(values, step=event.step)
            count += len(values)
    run.summary.update({f"result/{split}": value for split, value in accuracy.items()})
    run.finish()
    for old in (out / "wandb").glob(f"offline-run-*-{run_id}"):
        shutil.rmtree(old)
    (out / "wandb").mkdir(exist_ok=True)
    for folder in (new / "wandb").glob("offline-run-*"):
        folder.rename(out / "wandb" / folder.name)
    shutil.rmtree(new)
    return count
