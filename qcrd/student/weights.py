"""A module's weights as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

Weights = dict[str, Tensor]


def weights(module: nn.Module) -> Weights:
    """Copies of parameters and buffers on the CPU; what layers share appears once, for safetensors."""
    named = (*module.named_parameters(), *module.named_buffers())
    return {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in named}


@torch.no_grad()
def set_weights(module: nn.Module, values: Weights) -> None:
    """Write what `weights` returned into a module of the same shape.

    Raises:
        ValueError: where the names differ.
    """
    own = dict((*module.named_parameters(), *module.named_buffers()))
    if own.keys() != values.keys():
        raise ValueError(f"weights of another model: {sorted(own.keys() ^ values.keys())[:4]} differ")
    for name, tensor in own.items():
        tensor.copy_(values[name])
