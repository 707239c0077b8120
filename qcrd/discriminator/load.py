"""Which encoder a discriminator has: one switch, by the model's family."""

from __future__ import annotations

import torch
from transformers import (
    AutoConfig,
    AutoModel,
    PretrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    T5EncoderModel,
)

from qcrd import config
from qcrd.discriminator.encoders.base import Encoder
from qcrd.discriminator.encoders.causal import CausalEncoder
from qcrd.discriminator.encoders.t5 import T5Encoder
from qcrd.discriminator.model import Discriminator
from qcrd.discriminator.tokenizer import SETTING, checkpoint_tokenizer
from qcrd.errors import ConfigError
from qcrd.hub.checkpoints import commit, pretrained
from qcrd.hub.places import T5, model_type, place
from qcrd.student.causal import attention, families
from qcrd.student.load import t5_family
from qcrd.student.t5.load import t5_config

ARCHITECTURE = "discriminator.architecture"


def load_discriminator(
    section: config.Discriminator,
    tokenizer: PreTrainedTokenizerBase,
    precision: str,
    seed: int,
    device: torch.device,
) -> Discriminator:
    """An encoder from a checkpoint, or random from `seed`; the linear layers are always random.

    Args:
        section: the settings.
        tokenizer: the student's; also the discriminator's where there is no checkpoint, or one with the same
            vocabulary.
        precision: fp32 or bf16.
        seed: of random weights.
        device: where they go.

    Raises:
        ConfigError: where the checkpoint cannot be used.
    """
    hub_commit, revision = None, section.revision
    if section.checkpoint is not None:
        hub_commit = commit(section.checkpoint, section.revision)
        revision = hub_commit or section.revision  # weights and tokenizer of one commit
        tokenizer = checkpoint_tokenizer(section.checkpoint, revision, tokenizer)
    if tokenizer.eos_token_id is None:
        raise ConfigError(
            f"{SETTING}: the discriminator's tokenizer has no end-of-sequence token; name a checkpoint with "
            "another tokenizer"
        )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        encoder = _encoder(section, revision, tokenizer, seed)
        model = Discriminator(encoder, tokenizer, precision == "bf16", hub_commit)
    model.to(device)
    return model


def check_settings(section: config.Discriminator, tokenizer: PreTrainedTokenizerBase) -> None:
    """Check a discriminator's family and tokenizer without loading weights; `tokenizer` is the student's.

    Raises:
        ConfigError: where one cannot be used.
    """
    if section.checkpoint is None:
        t5_family(section.architecture.family, f"{ARCHITECTURE}.family")
        return
    t5_family(model_type(section.checkpoint, section.revision), f"{SETTING}: {section.checkpoint!r}")
    checkpoint_tokenizer(section.checkpoint, section.revision, tokenizer)


def encoder_config(section: config.Discriminator, tokenizer: PreTrainedTokenizerBase) -> PretrainedConfig:
    """The configuration of the model that the encoder is of.

    Args:
        section: the settings.
        tokenizer: the discriminator's; only read where there is no checkpoint.

    Raises:
        ConfigError: for a family that is not known.
        OSError, ValueError: where the checkpoint cannot be read.
    """
    if section.checkpoint is not None:
        name = place(section.checkpoint)
        return AutoConfig.from_pretrained(name, revision=section.revision, trust_remote_code=False)
    shape = section.architecture
    if shape.family in T5:
        return t5_config(shape, tokenizer, 0.0)
    return families.random_config(ARCHITECTURE, shape, tokenizer)


def random_encoder(shape: PretrainedConfig) -> Encoder:
    """An encoder of a configuration, its weights random, on the current default device."""
    if shape.model_type in T5:
        return T5Encoder(T5EncoderModel(shape))
    model = AutoModel.from_config(
        shape, dtype=torch.float32, trust_remote_code=False, attn_implementation=attention.NAME
    )
    return CausalEncoder(model)


def _encoder(
    section: config.Discriminator, revision: str | None, tokenizer: PreTrainedTokenizerBase, seed: int
) -> Encoder:
    name, shape = section.checkpoint, section.architecture
    if name is None:
        if t5_family(shape.family, f"{ARCHITECTURE}.family"):
            return random_encoder(t5_config(shape, tokenizer, 0.0))
        return CausalEncoder(_base(families.random(ARCHITECTURE, shape, tokenizer, seed)))
    if t5_family(model_type(name, revision), f"{SETTING}: {name!r}"):
        return T5Encoder(pretrained(SETTING, name, revision, "encoder", tokenizer))
    model = _base(families.pretrained(SETTING, name, revision))
    known = model.get_input_embeddings().num_embeddings
    if known < len(tokenizer):
        raise ConfigError(
            f"{SETTING}: {name!r} knows {known} tokens, its tokenizer has {len(tokenizer)}; "
            "use a model and a tokenizer that belong together"
        )
    return CausalEncoder(model)


def _base(model: PreTrainedModel) -> PreTrainedModel:
    """A causal model without its head."""
    base: PreTrainedModel = model.base_model
    return base
