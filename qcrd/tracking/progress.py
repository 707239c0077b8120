"""What of a grid's journals is on an MLflow server: one small file in the grid's folder.

It only saves asking. Where it is lost or of another server, the server itself is asked.
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
    """How far one journal has come on the server."""

    run_id: str
    sent: int = 0  # metric events and artifacts that are there, from the journal's beginning
    doubt: bool = True  # the server may have more than `sent` of them


def load(path: Path, server: str) -> dict[str, Progress]:
    """Source id to progress on this server; empty where nothing readable is known about it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        state = json.loads(path.read_text())
        if state["server"] == server:
            return {i: Progress(**progress) for i, progress in state["runs"].items()}
    return {}


def save(path: Path, server: str, runs: dict[str, Progress]) -> None:
    """Replace the file at once; it is on disk when this returns."""
    write_json(path, {"server": server, "runs": {i: asdict(progress) for i, progress in runs.items()}})
