"""URLs of a grid's pages in MLflow's UI."""

from __future__ import annotations

import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from qcrd.errors import QcrdError
from qcrd.tracking.mlflow.client import one_line, open_client
from qcrd.tracking.progress import FILE, load

NOTE = "mlflow.note.content"  # tag of an experiment or run: its description, in Markdown
REPORT = "report.html"  # the grid's report among the artifacts of its run


@dataclass(frozen=True, slots=True)
class Page:
    """The pages of one grid."""

    uri: str  # of the server
    experiment_id: str
    grid_id: str
    run_id: str  # the grid's own run

    @property
    def comparison(self) -> str:
        """URL of the page that compares the cells' runs, in the grid's saved view."""
        return self._address("runs", compareRunsMode="CHART", viewStateShareKey=self.grid_id)

    @property
    def report(self) -> str:
        """URL of the grid's report on the page of its run."""
        return self._address(f"runs/{self.run_id}/artifacts/{REPORT}")

    def note(self, name: str, description: str) -> str:
        """The experiment's note in Markdown: links to the comparison and the report, and the description."""
        links = (
            f"{name}: [compare the runs](#{self.comparison.partition('#')[2]}), "
            f"[read the report](#{self.report.partition('#')[2]})"
        )
        return f"{links}\n\n{description}".strip()

    def _address(self, rest: str, **query: str) -> str:
        # without this parameter the UI shows the GenAI menu, whatever the experiment's kind
        encoded = urllib.parse.urlencode({"workflowType": "machine_learning", **query})
        return f"{self.uri.rstrip('/')}/#/experiments/{self.experiment_id}/{rest}?{encoded}"


def find(uri: str, folder: Path, grid_id: str) -> Page:
    """The pages of a grid that was sent to the server before.

    Args:
        uri: tracking URI.
        folder: the grid's folder, which has the record of what was sent.
        grid_id: the grid's id.

    Raises:
        QcrdError: if the server does not have the grid or does not answer, or `uri` is not an HTTP address.
    """
    progress = load(folder / FILE, uri).get(grid_id)
    if not uri.startswith("http") or progress is None:
        raise QcrdError(f"no page of this grid is known at {uri}; `qcrd sync` sends it to an MLflow server")
    try:
        run = open_client(uri).get_run(progress.run_id)
    except Exception as trouble:  # the client raises arbitrary exceptions
        raise QcrdError(f"MLflow at {uri} does not show the grid: {one_line(trouble)}") from trouble
    return Page(uri, run.info.experiment_id, grid_id, progress.run_id)
