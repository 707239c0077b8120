"""What a cell's student began as: a model of the Hub, a folder, a packaged model, or random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from qcrd.config import Student
from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_path
from qcrd.hub.smollm2 import MODELS

RANDOM = "random weights"


@dataclass(frozen=True, slots=True)
class Base:
    """The weights that a student was trained from; with an adapter those that it is needed with."""

    kind: Literal["hub", "folder", "packaged", "random"]
    name: str  # Hub id, folder, name of the packaged model, or `RANDOM`
    commit: str | None = None  # of the Hub; None: unknown, or not from there
    model: str | None = None  # Hub id; of a packaged model that of the original
    license: str | None = None  # of a packaged model; others: see `qcrd.export.licences`

    def __str__(self) -> str:
        if self.kind == "packaged":
            return f"{self.name} (dequantised from a 4-bit copy of {self.model})"
        return f"{self.name} at commit {self.commit}" if self.commit else self.name


def base_of(student: Student, versions: Mapping[str, str]) -> Base:
    """A student's base.

    Args:
        student: the settings.
        versions: of the cell's record; `student_commit` is the Hub's commit that was loaded.
    """
    name = student.checkpoint
    if name is None:
        return Base("random", RANDOM)
    if name in MODELS:
        return Base("packaged", name, model=MODELS[name].model, license=MODELS[name].license)
    if Path(name).is_absolute() or Path(name).is_dir():
        return Base("folder", name)
    return Base("hub", name, versions.get("student_commit") or student.revision, name)


def check_base(student: Student, trained: Mapping[str, Any]) -> None:
    """Check that the folder of an adapter's base is that of the training; others are checked as they load.

    Args:
        student: the settings.
        trained: the model in the cell's identity.

    Raises:
        ConfigError: if it is missing, or has other content.
    """
    place = student.checkpoint
    if place is None or "content" not in trained or place in MODELS:
        return
    if not Path(place).is_dir():
        raise ConfigError(
            f"student.checkpoint: the adapter's base, the folder {place}, is not here; copy it there from "
            "the machine that trained the student, or export whole weights there (`qcrd export --merged`)"
        )
    if fingerprint_path(Path(place)) != trained["content"]:
        raise ConfigError(
            f"student.checkpoint: the folder {place} has changed since the adapter was trained on it "
            f"(content {fingerprint_path(Path(place))}, then {trained['content']}); restore it"
        )
