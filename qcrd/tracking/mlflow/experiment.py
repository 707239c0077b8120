"""A grid's experiment on the server: found or made, with the note and the view that its page opens with."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from qcrd.tracking.mlflow.page import NOTE, Page
from qcrd.tracking.mlflow.source import Source
from qcrd.tracking.mlflow.view import TAG, saved_view

_KIND = "mlflow.experimentKind"


def find_or_create(client: Any, name: str) -> tuple[str, dict[str, str]]:
    """Id and tags of the experiment.

    Raises:
        ValueError: if it was deleted on the server.
    """
    found = client.get_experiment_by_name(name)
    if found is None:
        # the kind opens the page with the views for training, not those for chats
        return client.create_experiment(name, tags={_KIND: "custom_model_development"}), {}
    if found.lifecycle_stage != "active":
        raise ValueError(
            f"experiment {name!r} was deleted on the server; restore it with "
            f"`mlflow experiments restore --experiment-id {found.experiment_id}` or rename the grid"
        )
    return found.experiment_id, found.tags


def furnish(
    client: Any,
    page: Page,
    tags: dict[str, str],
    grid: Source,
    varied: Sequence[str],
    former: Collection[str],
) -> None:
    """Give the experiment's page its view of this grid, once: what people change there stays.

    Args:
        client: of the server.
        page: of the grid.
        tags: of the experiment.
        grid: the grid.
        varied: names of the parameters that it varies.
        former: ids of runs that the grid had before, to which the note above the runs may lead.
    """
    note = tags.get(NOTE, "")
    if gone := [run_id for run_id in former if run_id in note]:
        for run_id in gone:
            note = note.replace(run_id, page.run_id)
        client.set_experiment_tag(page.experiment_id, NOTE, note)
    view = f"{TAG}{grid.id}"
    if view not in tags:
        client.set_experiment_tag(page.experiment_id, NOTE, page.note(grid.name, grid.tags.get(NOTE, "")))
        value = saved_view(grid.name, grid.id, varied, time.time_ns() // 1_000_000)
        client.set_experiment_tag(page.experiment_id, view, value)
