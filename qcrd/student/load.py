"""Which implementation a student has: one switch, by the model's family."""

from __future__ import annotations

import torch

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.hub.checkpoints import commit
from qcrd.hub.places import T5, model_type
from qcrd.student.base import Student
from qcrd.student.causal.families import EXAMPLES, allowed
from qcrd.student.causal.load import check_causal, load_causal
from qcrd.student.t5.load import load_t5
from qcrd.student.tokenizer import load_tokenizer


def load_student(
    section: config.Student,
    seed: int,
    device: torch.device,
    setting: str = "student.checkpoint",
    training: config.Training | None = None,
    cue: str = "Answer",
) -> Student:
    """A checkpoint's weights, or random ones from `seed`.

    Args:
        section: the settings.
        seed: of random weights.
        device: where they go.
        setting: that names the checkpoint, for messages.
        training: `max_tokens` and `gradient_checkpointing`; None for a student that is not trained.
        cue: of the task, which a decoder-only student reads in plain prompts.

    Raises:
        ConfigError: where the checkpoint cannot be used, or a setting does not apply to its family.
    """
    hub_commit = commit(section.checkpoint, section.revision) if section.checkpoint is not None else None
    if hub_commit is not None:  # weights and tokenizer of one commit, whatever is pushed meanwhile
        section = section.model_copy(update={"revision": hub_commit})
    t5 = is_t5(section, setting)
    tokenizer = load_tokenizer(section, setting)
    if t5:
        student: Student = load_t5(section, tokenizer, seed, setting, hub_commit).to(device)
    else:
        student = load_causal(section, tokenizer, seed, device, setting, hub_commit, training, cue)
    return student


def check_settings(section: config.Student, training: config.Training) -> None:
    """Check a student's settings without loading its weights.

    Raises:
        ConfigError: where its family, tokenizer, prompt or adapter cannot be used.
    """
    tokenizer = load_tokenizer(section)
    if not is_t5(section):
        check_causal(section, tokenizer, training)


def is_t5(section: config.Student, setting: str = "student.checkpoint") -> bool:
    """Whether the student is a T5; if not, it is a decoder-only model.

    Raises:
        ConfigError: for a model that is neither, or a setting that a T5 does not have.
    """
    if section.checkpoint is None:
        family: str | None = section.architecture.family
        where = "student.architecture.family"
    else:
        family, where = model_type(section.checkpoint, section.revision), f"{setting}: {section.checkpoint!r}"
    if t5_family(family, where):
        for name, default in (("adapter", None), ("prompt", "plain")):
            value = getattr(section, name)
            if value != default and family is not None:
                raise ConfigError(f"student.{name} is {value!r}, but {where} is a T5; leave it out")
        return True
    return False


def t5_family(family: str | None, where: str) -> bool:
    """Whether a `model_type` is T5's; if not, it is a decoder-only one. None counts as T5's.

    Args:
        family: None where it cannot be read; loading the model says what is wrong.
        where: the setting that names it, for messages.

    Raises:
        ConfigError: for one that is neither.
    """
    if family in T5 or family is None:
        return True
    if reason := allowed(family):
        raise ConfigError(
            f"{where} is {reason} ({family}); allowed: the T5 family ({', '.join(T5)}), and decoder-only "
            f"families that transformers loads without remote code, such as {EXAMPLES}"
        )
    return False
