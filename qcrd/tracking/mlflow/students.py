"""Logs trained students as MLflow models, which can be registered, loaded and served."""

from __future__ import annotations

import re
import shutil
import tempfile
import warnings
from dataclasses import dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import qcrd
from qcrd.cell.base import Base
from qcrd.storage.files import read_json, write_json

ADAPTER = "adapter_config.json"  # peft's
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
    base: Base | None = None  # of an adapter, which is not logged; None: the weights are whole


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
            if student.base is not None:
                student = replace(student, weights=_named(student.weights, student.base, Path(folder)))
            _save(Path(folder) / "model", model, student)
            client.log_model_artifacts(model.model_id, str(Path(folder) / "model"))
        ready = client.finalize_logged_model(model.model_id, "READY")
    client.log_outputs(run_id, [LoggedModelOutput(ready.model_id, student.step)])
    model_id: str = ready.model_id
    return model_id


def _named(adapter: Path, base: Base, folder: Path) -> Path:
    """A copy of an adapter that names its base and the base's commit, as peft reads them."""
    copy = folder / adapter.name
    shutil.copytree(adapter, copy)
    settings: dict[str, Any] = read_json(copy / ADAPTER) or {}
    name = None if base.kind == "random" else base.name
    write_json(copy / ADAPTER, {**settings, "base_model_name_or_path": name, "revision": base.commit})
    return copy


def _requirements(adapter: bool) -> list[str]:
    """What the model needs to be loaded: this package's requirements, and peft for an adapter."""
    found = []
    for line in metadata.requires("qcrd") or []:
        requirement, _, marker = line.partition(";")
        if "extra ==" not in marker:
            found.append(line)
        elif adapter and re.search(r"""extra == ["']lora["']""", marker):
            found.append(requirement.strip())
    return found


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
            pip_requirements=_requirements(student.base is not None),
            mlflow_model=Model(
                model_id=model.model_id, run_id=model.source_run_id, metadata=_metadata(student)
            ),
        )


def _metadata(student: Student) -> dict[str, Any]:
    """What the file MLmodel says of an adapter: that it is one, and of what."""
    if student.base is None:
        return {}
    return {
        "adapter": "lora",
        "base": student.base.name,
        "base_kind": student.base.kind,
        "base_commit": student.base.commit,
    }
