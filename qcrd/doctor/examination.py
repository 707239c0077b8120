"""All that `qcrd doctor` looks at, in the order in which a run would stumble over it."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from qcrd.doctor.check import Check, Look, examined
from qcrd.storage.home import Home


def examination(home: Home, tracking: str | None, grid: Path | None, preset: str | None) -> Iterator[Check]:
    """Every check, each as soon as it is known.

    Args:
        home: where results are.
        tracking: MLflow's address; None is none.
        grid: whose needs are looked at too.
        preset: instead of the grid's.
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
        looks.append(("grid", lambda: _needs(grid, home, preset)))
    yield from examined(looks)


def _look(module: str, function: str, *arguments: Any) -> Look:
    """A look whose module is imported when its turn comes: that a library is missing is a finding too."""
    return lambda: getattr(import_module(f"qcrd.doctor.{module}"), function)(*arguments)


def _needs(grid: Path, home: Home, preset: str | None) -> Iterator[Check]:
    from qcrd.doctor import hub, services
    from qcrd.doctor.needs import needs, offered

    with hub.unasked_if_out_of_reach():
        yield from needs(grid, home, preset, offered(services.cluster()))
