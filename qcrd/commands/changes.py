"""The options with which a command changes a grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from qcrd.grid.plan.changes import Changes

Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Replaces a value of the grid: a setting of its cells (beta=0.3, training.lr=1e-4) or of the "
        "grid (seeds=5, sweep.tau=[0,1]); repeatable.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        min=1, metavar="N", help="A short trial: at most N questions of each split, and N training steps."
    ),
]


def changes(settings: list[str] | None, limit: int | None) -> Changes:
    """What the two options say."""
    from qcrd.grid.plan.changes import Changes

    return Changes(tuple(settings or ()), limit)
