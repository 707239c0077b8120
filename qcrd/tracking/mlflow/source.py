"""What becomes a run in MLflow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Source:
    """What is to become one run: a cell, or the grid itself."""

    id: str  # the cell's or the grid's id
    name: str  # what people see
    folder: Path  # holds the journal and the artifacts that it names
    params: dict[str, Any] = field(default_factory=dict)  # flat
    tags: dict[str, str] = field(default_factory=dict)
