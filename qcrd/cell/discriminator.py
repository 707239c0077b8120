"""The discriminator that a cell begins with: pretrained once for all cells that share it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from qcrd.cell.preparation import Prepared, prepare
from qcrd.cell.resolved import ResolvedCell
from qcrd.discriminator.footprint import training_bytes
from qcrd.discriminator.load import encoder_config, load_discriminator
from qcrd.discriminator.model import Discriminator
from qcrd.discriminator.questions import (
    DiscriminatorQuestion,
    augmentation,
    discriminator_questions,
    held_out,
    with_augmented,
)
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.errors import QcrdError
from qcrd.seeds import derive
from qcrd.storage import tensors
from qcrd.storage.files import read_json, write_json
from qcrd.storage.home import Home
from qcrd.storage.tensors import DamagedTensors
from qcrd.student.token_duplicates import apart
from qcrd.student.tokenizer import load_tokenizer
from qcrd.student.weights import set_weights, weights
from qcrd.types import RationaleSet

COMMIT = "commit"  # of the checkpoint that a discriminator was pretrained from, beside its figures

logger = logging.getLogger(__name__)


def ensure_discriminator(cell: ResolvedCell, home: Home, prepared: Prepared | None = None) -> Path:
    """Weights of the discriminator that the cell needs, pretraining it if nobody has; one process does."""
    path = home.discriminators / f"{cell.discriminator_id}.safetensors"
    home.discriminators.mkdir(parents=True, exist_ok=True)
    with home.lock(path.parent, lease=path.with_suffix(".lease"), wanted=lambda n: n.startswith(path.stem)):
        if path.exists():  # pretrained while this process waited, or on another machine
            return path
        prepared, settings = prepared or prepare(cell, home), cell.settings
        model = new_discriminator(cell)
        tokenizer = model.tokenizer
        sets = apart(tokenizer, prepared.sets, settings.student.max_rationale)
        trainer, seen = discriminator_trainer(cell, prepared, sets, model)
        made = augmentation(sets, settings.discriminator, settings.seed)
        figures = trainer.pretrain(lambda n: with_augmented(tokenizer, seen, made(n), settings.student))
        write_json(path.with_suffix(".json"), {**figures, COMMIT: model.commit})
        tensors.save(path, weights(model))
    return path


def pretrained_discriminator(
    cell: ResolvedCell, home: Home, prepared: Prepared
) -> tuple[Discriminator, dict[str, Any]]:
    """The cell's discriminator with what its pretraining came to; pretrained anew where it is damaged."""
    path, model = ensure_discriminator(cell, home, prepared), new_discriminator(cell)
    try:
        values = tensors.load(path)[0]
    except DamagedTensors as error:
        logger.warning("%s; it is pretrained again, or had from the bucket", error)
        path.unlink(missing_ok=True)
        try:
            values = tensors.load(ensure_discriminator(cell, home, prepared))[0]
        except DamagedTensors:  # in the bucket too
            if home.bucket is None:
                raise
            path.unlink(missing_ok=True)
            home.bucket.remove([path])
            values = tensors.load(ensure_discriminator(cell, home, prepared))[0]
    set_weights(model, values)
    return model, read_json(path.with_suffix(".json")) or {}


def discriminator_trainer(
    cell: ResolvedCell,
    prepared: Prepared,
    sets: Sequence[RationaleSet],
    model: Discriminator,
) -> tuple[DiscriminatorTrainer, list[DiscriminatorQuestion]]:
    """The discriminator with its optimiser, and the questions as it reads them.

    Args:
        cell: whose it is.
        prepared: the cell's questions.
        sets: those of `prepared`, told apart in the discriminator's tokens.
        model: the discriminator.
    """
    settings = cell.settings
    held = held_out(sets, settings.discriminator.held_out, settings.seed)
    texts = [q.text for q in prepared.questions]
    seen = discriminator_questions(model.tokenizer, texts, sets, settings.student, held)
    unseen = [q for q in seen if q.held_out]
    return DiscriminatorTrainer(model, settings.discriminator, settings.seed, unseen), seen


def new_discriminator(cell: ResolvedCell) -> Discriminator:
    """The discriminator of a cell before any training."""
    settings = cell.settings
    return load_discriminator(
        settings.discriminator,
        load_tokenizer(settings.student),
        settings.student.precision,
        derive(settings.seed, "init", "discriminator"),
        _device(),
    )


def discriminator_bytes(cell: ResolvedCell) -> int | None:
    """Bytes that training the cell's discriminator takes at most, by shapes; None where those are unknown."""
    section, student = cell.settings.discriminator, cell.settings.student
    try:
        shape = encoder_config(section, load_tokenizer(student))
    except (OSError, ValueError, QcrdError):  # whoever loads it says what is wrong
        return None
    return training_bytes(shape, student.max_input + student.max_rationale, section.max_tokens)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
