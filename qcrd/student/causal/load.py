"""Decoder-only students: a checkpoint's weights or random ones, whole or with an adapter."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_path
from qcrd.student.causal import families
from qcrd.student.causal.adapter import adapt, require_peft, share
from qcrd.student.causal.forward import RECORDED
from qcrd.student.causal.prompts import CUES, load_prompts
from qcrd.student.causal.student import CausalStudent


def load_causal(
    section: config.Student,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    device: torch.device,
    setting: str = "student.checkpoint",
    commit: str | None = None,
    training: config.Training | None = None,
    cue: str = CUES["predict"],
) -> CausalStudent:
    """A decoder-only student; see `qcrd.student.load.load_student`.

    With an adapter, the base weights are loaded once per process and shared by all students of them.
    `section.dropout` is that of attention probabilities, where the family has it.

    Raises:
        ConfigError: where the checkpoint, the prompt or the adapter cannot be used.
    """
    prompts = load_prompts(section.prompt, tokenizer, cue=cue)
    if section.adapter is None:
        model = _load(section, tokenizer, seed, setting).to(device)
        adapted = None
    else:
        path = section.checkpoint
        content = fingerprint_path(Path(path)) if path is not None and Path(path).is_dir() else None
        seed_of_base = seed if path is None else 0
        of_base = section.model_copy(update={"adapter": None, "prompt": "plain"})
        model = share(_base(of_base, tokenizer, seed_of_base, setting, device, content))
        adapted = adapt(model, section.adapter, seed)
    max_tokens = training.max_tokens if training is not None else None
    recorded = RECORDED
    if training is not None and training.gradient_checkpointing:
        check_causal(section, tokenizer, training)
        model.gradient_checkpointing_enable({"use_reentrant": False})
        recorded = 0  # keeping activations would defeat the purpose
    bf16 = section.precision == "bf16"
    return CausalStudent(model, prompts, bf16, commit, adapted, max_tokens, recorded)


def check_causal(
    section: config.Student, tokenizer: PreTrainedTokenizerBase, training: config.Training
) -> None:
    """Check all settings that need no weights.

    Raises:
        ConfigError: where one cannot be used.
    """
    load_prompts(section.prompt, tokenizer)
    if section.adapter is not None:
        require_peft()
    if training.gradient_checkpointing and (
        section.dropout or (section.adapter is not None and section.adapter.dropout)
    ):
        raise ConfigError(
            "training.gradient_checkpointing: the recomputed pass would draw other dropout masks; "
            "allowed with student.dropout 0 and student.adapter.dropout 0"
        )


def _load(
    section: config.Student, tokenizer: PreTrainedTokenizerBase, seed: int, setting: str
) -> PreTrainedModel:
    if section.checkpoint is None:
        field = "student.architecture"
        return families.random(field, section.architecture, tokenizer, seed, section.dropout)
    model = families.pretrained(setting, section.checkpoint, section.revision, section.dropout)
    known = model.get_input_embeddings().num_embeddings
    if known < len(tokenizer):
        raise ConfigError(
            f"{setting}: {section.checkpoint!r} knows {known} tokens, the student's tokenizer has "
            f"{len(tokenizer)}; use a checkpoint and a tokenizer of the same family"
        )
    return model


@lru_cache(maxsize=1)
def _base(
    section: config.Student,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    setting: str,
    device: torch.device,
    content: str | None,
) -> PreTrainedModel:
    """Frozen weights that students with adapters share; `content` tells a folder from what it was before."""
    return _load(section, tokenizer, seed, setting).requires_grad_(False).to(device)
