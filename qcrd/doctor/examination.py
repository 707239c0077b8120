"""All that `qcrd doctor` looks at, in the order in which a run would stumble over it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from qcrd.doctor import home as place
from qcrd.doctor import hub, machine, remains, services, versions
from qcrd.doctor.check import Check, Look, examined
from qcrd.home import Home


def examination(home: Home, tracking: str | None, grid: Path | None, preset: str | None) -> Iterator[Check]:
    """Every check, each as soon as it is known.

    Args:
        home: where results are.
        tracking: MLflow's address; None is none.
        grid: whose needs are looked at too.
        preset: instead of the grid's.
    """
    looks: list[tuple[str, Look]] = [
        ("versions", versions.versions),
        ("GPU", machine.gpus),
        ("memory", machine.memory),
        ("open files", machine.open_files),
        ("home", partial(place.folder, home)),
        ("disk", partial(place.disk, home)),
        ("order", partial(remains.order, home)),
        ("samples", partial(remains.store, home)),
        ("Ray", services.ray),
        ("MLflow", partial(services.mlflow, tracking)),
        ("Hub", hub.hub),
    ]
    if grid:
        looks.append(("grid", partial(_needs, grid, home, preset)))
    yield from examined(looks)


def _needs(grid: Path, home: Home, preset: str | None) -> Iterator[Check]:
    from qcrd.doctor.needs import needs, offered

    with hub.unasked_if_out_of_reach():
        yield from needs(grid, home, preset, offered(services.cluster()))
