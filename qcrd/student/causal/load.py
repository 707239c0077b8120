"""Decoder-only students: a checkpoint's weights or random ones, whole or with an adapter."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from qcrd.errors import ConfigError
from qcrd.fingerprint import fingerprint_path
from qcrd.student.causal import families
from qcrd.student.causal.adapter import Adapter, adapt, share
from qcrd.student.causal.families import Shape
from qcrd.student.causal.prompts import load_prompts
from qcrd.student.causal.student import CausalStudent


def load_causal(
    source: str | Shape,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    device: torch.device,
    revision: str | None = None,
    setting: str = "student.checkpoint",
    prompt: str = "plain",
    bf16: bool = False,
    dropout: float = 0.0,
    adapter: Adapter | None = None,
    max_tokens: int | None = None,
) -> CausalStudent:
    """A decoder-only student.

    With an adapter, the base weights are loaded once per process and shared by all students of them.

    Args:
        source: a folder or Hub id, or the shape of a randomly initialised model.
        tokenizer: the student's.
        seed: of random weights and of the adapter's.
        device: where the weights go.
        revision: of a Hub id, its commit where there is one.
        setting: that names the checkpoint, for messages.
        prompt: see `load_prompts`.
        bf16: whether to compute under bf16 autocast.
        dropout: of attention probabilities.
        adapter: None trains all weights.
        max_tokens: see `CausalStudent`.

    Raises:
        ConfigError: where the checkpoint, the prompt or the adapter cannot be used.
    """
    prompts = load_prompts(prompt, tokenizer)
    commit = revision if isinstance(source, str) and not Path(source).exists() else None
    if adapter is None:
        model = _load(source, tokenizer, seed, revision, setting, dropout).to(device)
        return CausalStudent(model, prompts, bf16, commit, None, max_tokens)
    content = fingerprint_path(Path(source)) if isinstance(source, str) and Path(source).is_dir() else None
    seed_of_base = seed if isinstance(source, Shape) else 0
    model = share(_base(source, tokenizer, seed_of_base, revision, setting, dropout, device, content))
    adapted = adapt(model, adapter, seed)
    return CausalStudent(model, prompts, bf16, commit, adapted, max_tokens)


def _load(
    source: str | Shape,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    revision: str | None,
    setting: str,
    dropout: float,
) -> PreTrainedModel:
    if isinstance(source, Shape):
        return families.random("student.architecture", source, tokenizer, seed, dropout)
    model = families.pretrained(setting, source, revision, dropout)
    known = model.get_input_embeddings().num_embeddings
    if known < len(tokenizer):
        raise ConfigError(
            f"{setting}: {source!r} knows {known} tokens, the student's tokenizer has {len(tokenizer)}; use "
            "a checkpoint and a tokenizer of the same family"
        )
    return model


@lru_cache(maxsize=1)
def _base(
    source: str | Shape,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    revision: str | None,
    setting: str,
    dropout: float,
    device: torch.device,
    content: str | None,
) -> PreTrainedModel:
    """Frozen weights that students with adapters share; `content` tells a folder from what it was before."""
    return _load(source, tokenizer, seed, revision, setting, dropout).requires_grad_(False).to(device)
