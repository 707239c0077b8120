"""`qcrd train`: trains one cell in this process."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from qcrd.commands.changes import Limit, Set, changes
from qcrd.errors import ConfigError


def train(
    grid: Annotated[Path, typer.Argument(help="The grid's YAML file, such as grids/table1.yaml.")],
    cell: Annotated[
        str, typer.Option(metavar="NAME|ID", help="Name of a cell in the grid, or the beginning of its id.")
    ],
    device: Annotated[
        Literal["auto", "cpu", "cuda"], typer.Option(help="auto: the GPU if there is one.")
    ] = "auto",
    settings: Set = None,
    limit: Limit = None,
    preset: Annotated[
        Literal["auto", "embedded", "paper"] | None, typer.Option(help="Overrides the file's preset.")
    ] = None,
) -> None:
    """Train one cell of a grid in this process, without Ray, vLLM and MLflow; resumes after an interrupt.

    The grid finds the result, and this command finds the grid's. A debugger works: all runs in one thread
    of one process, with as many threads for computing as a cell of a running grid has (resources.cell_cpus).
    Missing samples of a server or a file are drawn; others need `qcrd sample`.

    Examples:

      qcrd plan grids/table1.yaml                              to see the names

      qcrd train grids/table1.yaml --cell "qcrd seed=0"

      CUDA_VISIBLE_DEVICES=1 qcrd train my.yaml --cell 3f9a --device cuda
    """
    if device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # read when torch is imported
    from qcrd.quick_imports import quick_model_imports

    with quick_model_imports():
        from qcrd.grid.run.one_cell import train as work
    from qcrd.storage.home import Home

    if device == "cuda":
        import torch

        if not torch.cuda.is_available():
            raise ConfigError("--device cuda: torch sees no GPU; allowed: auto, cpu")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: both leave a resumable cell
    record = work(grid, Home.default(), cell, preset, changes(settings, limit))
    raise typer.Exit(0 if record.status == "done" else 1)
