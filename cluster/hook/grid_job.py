"""Makes `ray job submit grids/ablation.yaml` mean on a cluster elsewhere what it means on this machine.

Ray calls `submit` before it sends a job, where RAY_JOB_SUBMIT_HOOK names it; `cluster/remote.sh` sets that. A
grid becomes `ray job submit --working-dir PROJECT -- python -m qcrd run GRID`, with all options that were
typed; every other job goes on as it is. Needs nothing but Ray, so that the laptop need not have the rest.
What is uploaded, `.gitignore` and `.rayignore` say.
"""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
HOOK = "RAY_JOB_SUBMIT_HOOK"


def submit(*, entrypoint: Sequence[str], working_dir: str | None, **others: object) -> None:
    """Replace this process by the longer command where the job is a grid; else do nothing.

    Args:
        entrypoint: the words of the job's command.
        working_dir: what is to be uploaded, if somebody said so; then the command is left as it is.
        others: Ray's other options, which the longer command has from the command line.
    """
    if working_dir or not entrypoint[0].endswith((".yaml", ".yml")):
        return
    grid = Path(entrypoint[0])
    if not grid.is_file():
        sys.exit(f"no such grid: {grid}; there are those in {PROJECT / 'grids'}")
    if PROJECT not in grid.resolve().parents:
        sys.exit(f"{grid} is not below {PROJECT}, which is what is uploaded; copy it into its grids/")
    command = ["python", "-m", "qcrd", "run", str(grid.resolve().relative_to(PROJECT)), *entrypoint[1:]]
    options = [*_without(sys.argv[1:], entrypoint), "--working-dir", str(PROJECT)]
    environment = {name: value for name, value in os.environ.items() if name != HOOK}
    ray = [sys.executable, "-m", "ray.scripts.scripts", *options, "--", *command]
    os.execve(sys.executable, ray, environment)  # noqa: S606 - this very program, without a shell


def _without(words: list[str], entrypoint: Sequence[str]) -> list[str]:
    """The options alone; they may stand before and behind the job's words."""
    words = list(words)
    for word in (["--"] if "--" in words else []) + list(reversed(entrypoint)):
        del words[len(words) - 1 - words[::-1].index(word)]
    return words
