"""T5 students: a checkpoint's weights, or random ones of a given shape."""

from __future__ import annotations

import torch
from transformers import PreTrainedTokenizerBase, T5Config, T5ForConditionalGeneration

from qcrd import config
from qcrd.hub.checkpoints import pretrained
from qcrd.student.t5.student import T5Student


def load_t5(
    section: config.Student,
    tokenizer: PreTrainedTokenizerBase,
    seed: int,
    setting: str,
    commit: str | None,
) -> T5Student:
    """See `qcrd.student.load.load_student`. Dropout is set from the settings: checkpoints differ in it."""
    if section.checkpoint is not None:
        model = pretrained(
            setting,
            section.checkpoint,
            section.revision,
            "whole",
            tokenizer,
            dropout_rate=section.dropout,
        )
    else:
        shape = t5_config(section.architecture, tokenizer, section.dropout)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = T5ForConditionalGeneration(shape)
    return T5Student(model, tokenizer, section.precision == "bf16", commit)


def t5_config(shape: config.Architecture, tokenizer: PreTrainedTokenizerBase, dropout: float) -> T5Config:
    """Configuration of a T5 of the given shape: gated GELU as in v1.1, tied and scaled head as in v1.0.

    transformers 5 ties a new T5's head to the embeddings whatever the configuration says (only a v1.1
    checkpoint, which holds both, comes with a head of its own). Without the scale a fresh student would
    begin at twice the loss of a uniform guess.
    """
    return T5Config(
        vocab_size=len(tokenizer),
        d_model=shape.d_model,
        d_kv=shape.d_kv,
        d_ff=shape.d_ff,
        num_layers=shape.layers,
        num_decoder_layers=shape.layers,
        num_heads=shape.heads,
        dropout_rate=dropout,
        feed_forward_proj="gated-gelu",
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=tokenizer.eos_token_id,
        decoder_start_token_id=tokenizer.pad_token_id,
    )
