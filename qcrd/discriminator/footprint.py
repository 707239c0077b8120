"""How much memory a step of the discriminator takes, known from shapes alone: nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.autograd.graph import saved_tensors_hooks
from transformers import PretrainedConfig

from qcrd.discriminator.encoders.base import Encoder
from qcrd.discriminator.load import random_encoder

PER_WEIGHT = 16  # bytes in fp32: the weight, its gradient and AdamW's two moments
META = torch.device("meta")


@torch.enable_grad()
def kept_bytes(shape: PretrainedConfig, lengths: Sequence[int]) -> int:
    """Bytes that one forward pass of an encoder keeps for its gradient, in fp32, weights not among them.

    The pass runs on tensors that have shapes but no content. What the way backwards needs besides, for a
    layer at a time, is not in it; autocast to bf16 keeps less, and so do rows that begin alike in a causal
    model.

    Args:
        shape: of the model that the encoder is of.
        lengths: of the rows, in tokens.
    """
    encoder = _encoder(shape)
    own = {weight.untyped_storage()._cdata for weight in encoder.model.parameters()}
    kept: dict[int, torch.UntypedStorage] = {}  # held, so that none is freed and its place taken by another

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in own:
            kept[storage._cdata] = storage
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        encoder.states([[row] * length for row, length in enumerate(lengths)])
    return sum(storage.nbytes() for storage in kept.values())


def training_bytes(shape: PretrainedConfig, row: int, most: int) -> int:
    """Bytes of training a discriminator at most: weights, moments and the largest chunk.

    Args:
        shape: of the model that its encoder is of.
        row: longest row in tokens: question and rationale.
        most: tokens of a chunk.
    """
    weights: int = sum(weight.numel() for weight in _encoder(shape).model.parameters())
    activations: int = kept_bytes(shape, [row] * max(1, most // row))
    return PER_WEIGHT * weights + activations


def _encoder(shape: PretrainedConfig) -> Encoder:
    with META:
        encoder = random_encoder(shape)
    encoder.model.train()
    return encoder
