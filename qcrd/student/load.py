"""Which implementation a student has: one switch, by the model's family."""

from __future__ import annotations

import torch

from qcrd import config
from qcrd.hub.checkpoints import commit
from qcrd.student.base import Student
from qcrd.student.causal.families import is_causal
from qcrd.student.causal.load import load_causal
from qcrd.student.t5.load import load_t5
from qcrd.student.tokenizer import load_tokenizer


def load_student(
    section: config.Student, seed: int, device: torch.device, setting: str = "student.checkpoint"
) -> Student:
    """A checkpoint's weights, or random ones from `seed`.

    Args:
        section: the settings.
        seed: of random weights.
        device: where they go.
        setting: that names the checkpoint, for messages.

    Raises:
        ConfigError: where the checkpoint cannot be used; see `qcrd.hub.checkpoints.pretrained`.
    """
    found = commit(section.checkpoint, section.revision) if section.checkpoint is not None else None
    if found is not None:  # weights and tokenizer of one commit, whatever is pushed meanwhile
        section = section.model_copy(update={"revision": found})
    tokenizer = load_tokenizer(section, setting)
    if section.checkpoint is not None and is_causal(section.checkpoint, section.revision):
        return load_causal(
            section.checkpoint,
            tokenizer,
            seed,
            device,
            section.revision,
            setting,
            bf16=section.precision == "bf16",
            dropout=section.dropout,
        )
    return load_t5(section, tokenizer, seed, setting, found).to(device)
