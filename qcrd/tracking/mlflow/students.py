"""Logs trained students as MLflow models, which can be registered, loaded and served."""

from __future__ import annotations

import re
import tempfile
import warnings
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import qcrd

_PACKAGE = Path(qcrd.__file__).parent


@dataclass(frozen=True, slots=True)
class Student:
    """A finished cell's student."""

    name: str  # display name
    cell: Path  # the cell's `cell.json`
    weights: Path  # folder in Hugging Face format
    step: int  # optimiser step of its checkpoint
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


def log_student(client: Any, experiment_id: str, run_id: str, student: Student) -> str:
    """Log the student as a model of a run; returns the model's id.

    Deletes models of interrupted attempts, whose status is not READY.

    Args:
        client: MLflow client.
        experiment_id: the run's experiment.
        run_id: the cell's run.
        student: the student to log.
    """
    from mlflow.entities import LoggedModelOutput

    existing = client.search_logged_models([experiment_id], filter_string=f"source_run_id = '{run_id}'")
    for earlier in existing:
        if earlier.status != "READY":
            client.delete_logged_model(earlier.model_id)
    ready = next((model for model in existing if model.status == "READY"), None)
    if ready is None:
        name = re.sub(r"[/:.%\"']", "_", student.name)  # MLflow does not allow these characters
        model = client.create_logged_model(experiment_id, name, run_id, student.tags, student.params)
        with tempfile.TemporaryDirectory() as folder:
            _save(Path(folder) / "model", model, student)
            client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
        ready = client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(ready.model_id, student.step)])
    model_id: str = ready.model_id
    return model_id


def _save(folder: Path, model: Any, student: Student) -> None:
    """Save the model to a folder: code, weights, signature, requirements."""
    from mlflow import pyfunc
    from mlflow.models import Model, ModelSignature
    from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
    from mlflow.types.schema import Array

    signature = ModelSignature(
        Schema(
            [
                ColSpec(DataType.string, "question"),
                ColSpec(Array(DataType.string), "choices", required=False),
            ]
        ),
        Schema([ColSpec(DataType.string, "label"), ColSpec(DataType.string, "rationale")]),
        ParamSchema([ParamSpec("explain", DataType.boolean, False)]),
    )
    with warnings.catch_warnings(record=True):  # MLflow's warnings are for model authors
        pyfunc.save_model(
            str(folder),
            python_model=str(Path(__file__).with_name("served.py")),
            artifacts={"cell": str(student.cell), "student": str(student.weights)},
            code_paths=[str(_PACKAGE)],
            signature=signature,
            pip_requirements=[line for line in metadata.requires("qcrd") or [] if "extra ==" not in line],
            mlflow_model=Model(model_id=model.model_id, run_id=model.source_run_id),
        )
