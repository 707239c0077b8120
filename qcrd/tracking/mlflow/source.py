"""What becomes a run in MLflow."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Data:
    """A split of a data set that a run uses."""

    name: str  # such as "svamp train"
    context: str  # training, validation or testing
    digest: str  # changes with its content
    source: str  # where it is from, as JSON
    rows: int

    def as_input(self) -> Any:
        """As MLflow's client takes it."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = json.dumps({"num_rows": self.rows})
        dataset = Dataset(self.name, self.digest, "qcrd", self.source, profile=profile)
        return DatasetInput(dataset, [InputTag("mlflow.data.context", self.context)])


@dataclass(frozen=True, slots=True)
class Source:
    """What is to become one run: a cell, or the grid itself."""

    id: str  # the cell's or the grid's id
    name: str  # what people see
    folder: Path  # holds the journal and the artifacts that it names
    params: dict[str, Any] = field(default_factory=dict)  # flat
    tags: dict[str, str] = field(default_factory=dict)
    data: tuple[Data, ...] = ()
