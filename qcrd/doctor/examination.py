"""All checks of `qcrd doctor`, in the order in which a run would fail on them."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qcrd.doctor.check import Check, Look, run_checks
from qcrd.storage.home import Home

if TYPE_CHECKING:
    from qcrd.grid.plan.changes import Changes


def examination(
    home: Home,
    tracking: str | None,
    grid: Path | None,
    preset: str | None,
    changes: Changes | None = None,
) -> Iterator[Check]:
    """Run every check and yield its results as they arrive.

    Args:
        home: where results are stored.
        tracking: MLflow's address, or None.
        grid: YAML file of a grid whose requirements are also checked.
        preset: overrides the grid's preset.
        changes: changes of the grid from the command line.
    """
    looks = [
        ("versions", _look("versions", "versions")),
        ("GPU", _look("machine", "gpus")),
        ("memory", _look("machine", "memory")),
        ("open files", _look("machine", "open_files")),
        ("home", _look("home", "folder", home)),
        ("store", _look("home", "store", home)),
        ("access", _look("access", "access", home)),
        ("disk", _look("home", "disk", home)),
        ("order", _look("remains", "order", home)),
        ("samples", _look("remains", "store", home)),
        ("results", _look("remains", "results", home)),
        ("Ray", _look("services", "ray")),
        ("MLflow", _look("services", "mlflow", tracking)),
        ("Hub", _look("hub", "hub")),
    ]
    if grid:
        looks.append(("grid", lambda: _needs(grid, home, preset, changes)))
    yield from run_checks(looks)


def _look(module: str, function: str, *arguments: Any) -> Look:
    """A check whose module is imported only when it runs: a missing library is then reported as an error."""
    return lambda: getattr(import_module(f"qcrd.doctor.{module}"), function)(*arguments)


def _needs(grid: Path, home: Home, preset: str | None, changes: Changes | None) -> Iterator[Check]:
    from qcrd.doctor import hub, services
    from qcrd.doctor.needs import needs, offered
    from qcrd.grid.plan.changes import NO_CHANGES

    with hub.unasked_if_out_of_reach():
        yield from needs(grid, home, preset, offered(services.cluster()), changes or NO_CHANGES)
