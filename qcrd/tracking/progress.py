"""How much of a grid's journals an MLflow server has, in a small file in the grid's folder.

The file is a cache: if it is missing or belongs to another server, the server is queried instead.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from qcrd.storage.files import write_json

FILE = "mlflow.json"


@dataclass(slots=True)
class Progress:
    """How much of one journal the server has."""

    run_id: str
    sent: int = 0  # number of metric events and artifacts sent, from the journal's beginning
    doubt: bool = True  # whether the server may have more than `sent` of them


def load(path: Path, server: str) -> dict[str, Progress]:
    """Source id to progress on this server; empty if the file is missing, unreadable or of another server."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads(path.read_text())
        if state["server"] == server:
            return {i: Progress(**progress) for i, progress in state["runs"].items()}
    return {}


def save(path: Path, server: str, runs: dict[str, Progress]) -> None:
    """Replace the file atomically; it is on disk when this returns."""
    write_json(path, {"server": server, "runs": {i: asdict(progress) for i, progress in runs.items()}})
