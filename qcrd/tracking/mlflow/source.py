"""The sources of MLflow runs: cells, grids and the data sets that they use."""

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
    digest: str  # of its content
    source: str  # its origin, as JSON
    rows: int

    def as_input(self) -> Any:
        """Convert to MLflow's DatasetInput."""
        from mlflow.entities import Dataset, DatasetInput, InputTag

        profile = json.dumps({"num_rows": self.rows})
        dataset = Dataset(self.name, self.digest, "qcrd", self.source, profile=profile)
        return DatasetInput(dataset, [InputTag("mlflow.data.context", self.context)])


@dataclass(frozen=True, slots=True)
class Source:
    """A cell or a grid, mirrored to one run."""

    id: str  # the cell's or the grid's id
    name: str  # display name
    folder: Path  # contains the journal and the artifacts that it names
    params: dict[str, Any] = field(default_factory=dict)  # flat
    tags: dict[str, str] = field(default_factory=dict)
    data: tuple[Data, ...] = ()
