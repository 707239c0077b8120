"""A grid's experiment on the server: looks it up or creates it, and sets its note and saved view."""

from __future__ import annotations

import time
from collections.abc import Collection, Sequence
from typing import Any

from qcrd.tracking.mlflow.page import NOTE, Page
from qcrd.tracking.mlflow.source import Source
from qcrd.tracking.mlflow.view import TAG, saved_view

_KIND = "mlflow.experimentKind"


def find_or_create(client: Any, name: str) -> tuple[str, dict[str, str]]:
    """Id and tags of the experiment; creates it if necessary.

    Raises:
        ValueError: if it was deleted on the server.
    """
    existing = client.get_experiment_by_name(name)
    if existing is None:
        # this kind selects the UI for model training instead of the one for GenAI
        return client.create_experiment(name, tags={_KIND: "custom_model_development"}), {}
    if existing.lifecycle_stage != "active":
        raise ValueError(
            f"experiment {name!r} was deleted on the server; restore it with "
            f"`mlflow experiments restore --experiment-id {existing.experiment_id}` or rename the grid"
        )
    return existing.experiment_id, existing.tags


def set_note_and_view(
    client: Any,
    page: Page,
    tags: dict[str, str],
    grid: Source,
    varied: Sequence[str],
    former: Collection[str],
) -> None:
    """Set the experiment's note and this grid's saved view, unless the view exists: user changes stay.

    Args:
        client: MLflow client.
        page: the grid's page.
        tags: of the experiment.
        grid: the grid.
        varied: names of the parameters that the grid varies.
        former: ids of the grid's former runs; links to them in the note are updated.
    """
    note = tags.get(NOTE, "")
    if outdated := [run_id for run_id in former if run_id in note]:
        for run_id in outdated:
            note = note.replace(run_id, page.run_id)
        client.set_experiment_tag(page.experiment_id, NOTE, note)
    view = f"{TAG}{grid.id}"
    if view not in tags:
        client.set_experiment_tag(page.experiment_id, NOTE, page.note(grid.name, grid.tags.get(NOTE, "")))
        value = saved_view(grid.name, grid.id, varied, time.time_ns() // 1_000_000)
        client.set_experiment_tag(page.experiment_id, view, value)
