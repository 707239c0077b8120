"""A table's entry: what the cell behind it scored, with which settings, taught by whom, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcrd.cell.finished import Ended
from qcrd.cell.identity import discriminator_identity
from qcrd.fingerprint import fingerprint
from qcrd.samples.store import IDENTITY
from qcrd.storage.files import read_json
from qcrd.storage.home import PREDICTIONS, RECORD, Home
from qcrd.storage.journal import FILE
from qcrd.teacher.engines import ENGINES


@dataclass(frozen=True, slots=True)
class Score:
    """The student's answers to one split, at the chosen step."""

    right: int
    questions: int


@dataclass(frozen=True, slots=True)
class Sampler:
    """Who answered, and where the answers are; everything as it was when the cell was trained."""

    id: str
    samples: int  # answers to each question that the cell read
    settings: dict[str, Any]  # of the cell's section `teacher`
    identity: dict[str, Any] | None  # engine, version, model, ...; None where the answers are gone
    folder: Path


@dataclass(frozen=True, slots=True)
class Entry:
    """One cell."""

    id: str
    name: str
    status: str
    message: str
    accuracy: dict[str, float]  # percent
    chosen_step: int
    seconds: float
    scores: dict[str, Score]  # by split; empty where the predictions are gone
    settings: dict[str, Any]  # all that the result depends on: what the id was made from
    versions: dict[str, str]
    statistics: dict[str, float]
    sampler: Sampler | None  # None where the cell reads no answers of a teacher
    kept: dict[str, Path | None]  # None for what is no longer there


def entry(ended: Ended, home: Home) -> Entry:
    """What is known of a cell without loading its data."""
    record = ended.record
    discriminator = discriminator_file(ended, home)
    sampler = sampler_of(ended, home)
    places = {name: ended.folder / file for name, file in FILES.items()} | {"student": ended.student}
    if discriminator is not None:
        if home.bucket and not discriminator.exists():
            home.bucket.get([discriminator.with_suffix(".json"), discriminator])
        places["pretrained discriminator"] = discriminator
    if sampler is not None:
        places["samples"] = sampler.folder
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
        kept={name: place if place.exists() else None for name, place in places.items()},
    )


FILES = {"record": RECORD, "predictions": PREDICTIONS, "journal": FILE}


def sampler_of(ended: Ended, home: Home) -> Sampler | None:
    """Whose answers the cell read, by its record: today's versions and settings do not come in."""
    read = ended.record.identity.get("rationales")
    if read is None:
        return None
    folder = home.fetch(home.samples / read["teacher"]["sampler"])
    settings = {k: v for k, v in ended.record.settings["teacher"].items() if v is not None}
    if not ENGINES[settings["engine"]].draws:  # nothing else of it is read
        settings = {k: settings[k] for k in ("engine", "path")}
    return Sampler(folder.name, read["samples"], settings, read_json(folder / IDENTITY), folder)


def discriminator_file(ended: Ended, home: Home) -> Path | None:
    """Where the discriminator that the cell began with is or was; None where it had none."""
    if not ended.cell.needs_discriminator:
        return None
    identity = ended.record.identity
    data, teacher = identity["task"]["data"], identity["rationales"]["teacher"]
    own = discriminator_identity(ended.cell.settings, data, teacher)
    own["version"] = identity["version"]  # of its time
    return home.discriminators / f"{fingerprint(own)}.safetensors"
