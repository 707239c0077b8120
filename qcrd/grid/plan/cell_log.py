"""What a cell wrote down: the last events of its journal, and the error of its last attempt."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from qcrd.grid.plan.study import state
from qcrd.storage import journal
from qcrd.storage.files import read_json
from qcrd.storage.home import ERROR, Home
from qcrd.storage.journal import Artifact, Event, Metrics, Params, Status


def log_path(home: Home, cell_id: str) -> Path:
    """The file to read first: the error of a failed attempt, else the journal."""
    folder = home.cell(cell_id)
    return folder / ERROR if (folder / ERROR).exists() else folder / journal.FILE


def log_text(home: Home, cell_id: str, name: str = "", lines: int = 20) -> str:
    """A cell's state, its files, the last events of its journal and the last lines of its error.

    Args:
        home: where the cell is.
        cell_id: its whole id.
        name: its name in the grid; "": the one under which it was trained.
        lines: maximum number of events, and of lines of the error.
    """
    folder = home.cell(cell_id)
    name = name or (read_json(folder / "cell.json") or {}).get("name", "")
    parts = [f"cell {cell_id}{f': {name}' if name else ''}: {state(home, cell_id)}"]
    events = list(journal.read(folder / journal.FILE))
    if not events:
        what = "has no journal; its folder is" if folder.exists() else "has not begun; its folder would be"
        return "\n".join([*parts, f"it {what} {folder}"])
    parts.append(f"journal: {folder / journal.FILE}, {len(events)} events")
    parts += [f"  {_text(event)}" for event in events[-lines:]]
    error = folder / ERROR
    if error.exists():
        text = error.read_text(encoding="utf-8", errors="replace").rstrip().splitlines()
        parts.append(f"error: {error}, {len(text)} lines")
        parts += [f"  {line}" for line in text[-lines:]]
    return "\n".join(parts)


def _text(event: Event) -> str:
    when = datetime.fromtimestamp(event.time / 1000).isoformat(" ", "seconds")
    match event:
        case Metrics(step=step, values=values):
            what = f"step {step}: " + ", ".join(f"{name} {value:.4g}" for name, value in values.items())
        case Status(status=status, message=message):
            what = f"{status}: {message}" if message else status
        case Params(values=values):
            what = ", ".join(f"{name} {value}" for name, value in values.items())
        case Artifact(path=path):
            what = f"wrote {path}"
    return f"{when}  {what}"
