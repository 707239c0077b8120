"""Provenance of a cell: scores, settings, teacher, and the files that are kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcrd.cell.finished import FinishedCell
from qcrd.cell.identity import discriminator_identity
from qcrd.fingerprint import fingerprint
from qcrd.samples.store import IDENTITY
from qcrd.storage.files import read_json
from qcrd.storage.home import PREDICTIONS, RECORD, Home
from qcrd.storage.journal import FILE
from qcrd.teacher.engines import ENGINES


@dataclass(frozen=True, slots=True)
class Score:
    """Number of correct answers on one split, at the chosen step."""

    right: int
    questions: int


@dataclass(frozen=True, slots=True)
class Sampler:
    """The teacher and the location of its answers, as recorded when the cell was trained."""

    id: str
    samples: int  # answers per question that the cell used
    settings: dict[str, Any]  # the cell's section `teacher`
    identity: dict[str, Any] | None  # engine, version, model, ...; None if the answers are not kept
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """Provenance of one cell."""

    id: str
    name: str
    status: str
    message: str
    accuracy: dict[str, float]  # percent
    chosen_step: int
    seconds: float
    scores: dict[str, Score]  # by split; empty if the predictions are not kept
    settings: dict[str, Any]  # everything that the result depends on, from which the id is computed
    versions: dict[str, str]
    statistics: dict[str, float]
    sampler: Sampler | None  # None if the cell uses no answers of a teacher
    kept: dict[str, Path | None]  # files and folders; None for those that are not kept


def entry(ended: FinishedCell, home: Home) -> Entry:
    """Provenance of a cell, without loading its data."""
    record = ended.record
    discriminator = discriminator_file(ended, home)
    sampler = sampler_of(ended, home)
    paths = {name: ended.folder / file for name, file in FILES.items()} | {"student": ended.student}
    if discriminator is not None:
        if home.bucket and not discriminator.exists():
            home.bucket.get([discriminator.with_suffix(".json"), discriminator])
        paths["pretrained discriminator"] = discriminator
    if sampler is not None:
        paths["samples"] = sampler.folder
    return Entry(
        id=ended.id,
        name=ended.name,
        status=record.status,
        message=record.message,
        accuracy=record.accuracy,
        chosen_step=record.chosen_step,
        seconds=record.seconds,
        scores={
            split: Score(sum(p.correct for p in rows), len(rows))
            for split, rows in home.predictions(record).items()
        },
        settings=record.identity,
        versions=record.versions,
        statistics=record.statistics,
        sampler=sampler,
        kept={name: path if path.exists() else None for name, path in paths.items()},
    )


FILES = {"record": RECORD, "predictions": PREDICTIONS, "journal": FILE}


def sampler_of(ended: FinishedCell, home: Home) -> Sampler | None:
    """Sampler of a cell according to its record, independent of current versions and settings."""
    rationales = ended.record.identity.get("rationales")
    if rationales is None:
        return None
    folder = home.fetch(home.samples / rationales["teacher"]["sampler"])
    settings = {k: v for k, v in ended.record.settings["teacher"].items() if v is not None}
    if not ENGINES[settings["engine"]].draws:  # other settings are not used
        settings = {k: settings[k] for k in ("engine", "path")}
    return Sampler(folder.name, rationales["samples"], settings, read_json(folder / IDENTITY), folder)


def discriminator_file(ended: FinishedCell, home: Home) -> Path | None:
    """Path of the cell's pretrained discriminator, which may not exist; None if the cell uses none."""
    if not ended.cell.needs_discriminator:
        return None
    identity = ended.record.identity
    data, teacher = identity["task"]["data"], identity["rationales"]["teacher"]
    pretrained = discriminator_identity(ended.cell.settings, data, teacher)
    pretrained["version"] = identity["version"]  # at the time of training
    return home.discriminators / f"{fingerprint(pretrained)}.safetensors"
