"""Addresses of MLflow's pages about a grid."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from qcrd.errors import QcrdError
from qcrd.tracking.mlflow.client import one_line, open_client
from qcrd.tracking.progress import FILE, load

NOTE = "mlflow.note.content"  # tag of an experiment or run: its description, in Markdown
REPORT = "report.html"  # the grid's page among the artifacts of its run


@dataclass(frozen=True, slots=True)
class Page:
    """Where people look at one grid."""

    uri: str  # of the server
    experiment_id: str
    grid_id: str
    run_id: str  # the grid's own run

    @property
    def comparison(self) -> str:
        """The page that compares the cells' runs, in the grid's saved view."""
        return self._address("runs", compareRunsMode="CHART", viewStateShareKey=self.grid_id)

    @property
    def report(self) -> str:
        """The grid's report, within the page of its run."""
        return self._address(f"runs/{self.run_id}/artifacts/{REPORT}")

    def note(self, name: str, description: str) -> str:
        """What stands above the experiment's runs, in Markdown: where to look, first, and what it is."""
        links = (
            f"{name}: [compare the runs](#{self.comparison.partition('#')[2]}), "
            f"[read the report](#{self.report.partition('#')[2]})"
        )
        return f"{links}\n\n{description}".strip()

    def _address(self, rest: str, **query: str) -> str:
        # the menu is the one for chats unless the address says otherwise, whatever kind the experiment is of
        encoded = urllib.parse.urlencode({"workflowType": "machine_learning", **query})
        return f"{self.uri.rstrip('/')}/#/experiments/{self.experiment_id}/{rest}?{encoded}"


def find(uri: str, folder: Path, grid_id: str) -> Page:
    """The pages of a grid that was sent to the server before.

    Args:
        uri: of the server.
        folder: the grid's, where it is noted what was sent.
        grid_id: the grid's id.

    Raises:
        QcrdError: where the server has nothing of the grid, does not answer, or is no server.
    """
    known = load(folder / FILE, uri).get(grid_id)
    if not uri.startswith("http") or known is None:
        raise QcrdError(f"no page of this grid is known at {uri}; `qcrd sync` sends it to an MLflow server")
    try:
        run = open_client(uri).get_run(known.run_id)
    except Exception as trouble:  # whatever the client library raises
        raise QcrdError(f"MLflow at {uri} does not show the grid: {one_line(trouble)}") from trouble
    return Page(uri, run.info.experiment_id, grid_id, known.run_id)
