"""Lets `ray job submit grids/ablation.yaml` run a grid on a remote cluster.

Ray calls the function in RAY_JOB_SUBMIT_HOOK before it submits a job; `cluster/remote.sh` sets the variable
to `submit`. If the job is a grid, the command is replaced by `ray job submit --working-dir PROJECT -- python
-m qcrd run GRID`, with all options of the original command. Other jobs are not changed. Only Ray has to be
installed. `.gitignore` and `.rayignore` exclude files from the upload.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HOOK = "RAY_JOB_SUBMIT_HOOK"


def submit(*, entrypoint: Sequence[str], working_dir: str | None, **others: object) -> None:
    """Replace this process by the expanded command if the job is a grid; else do nothing.

    Args:
        entrypoint: the words of the job's command.
        working_dir: the folder to upload, if the user named one; then the command is not changed.
        others: Ray's other options; the expanded command takes them from the command line.
    """
    if working_dir or not entrypoint[0].endswith((".yaml", ".yml")):
        return
    grid = Path(entrypoint[0])
    if not grid.is_file():
        sys.exit(f"no such grid: {grid}; available grids: {PROJECT / 'grids'}")
    if PROJECT not in grid.resolve().parents:
        sys.exit(f"{grid} is not below {PROJECT}, the folder that is uploaded; copy it into its grids/")
    command = ["python", "-m", "qcrd", "run", str(grid.resolve().relative_to(PROJECT)), *entrypoint[1:]]
    options = [*_without(sys.argv[1:], entrypoint), "--working-dir", str(PROJECT)]
    environment = {name: value for name, value in os.environ.items() if name != HOOK}
    ray = [sys.executable, "-m", "ray.scripts.scripts", *options, "--", *command]
    os.execve(sys.executable, ray, environment)  # noqa: S606 - the same program, without a shell


def _without(words: list[str], entrypoint: Sequence[str]) -> list[str]:
    """The options only; they may come before and after the words of the job."""
    words = list(words)
    for word in (["--"] if "--" in words else []) + list(reversed(entrypoint)):
        del words[len(words) - 1 - words[::-1].index(word)]
    return words
