"""The head of a causal model, as the chunked cross entropy reads it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class Head:
    """What turns hidden states into logits: `scale * hidden @ weight.T + scale * bias`."""

    weight: Tensor  # [V, D]
    bias: Tensor | None  # [V]
    scale: float

    @classmethod
    def of(cls, model: PreTrainedModel) -> Head:
        """The head of a model, with the multiplier of Cohere's or Granite's logits."""
        layer, shape = model.get_output_embeddings(), model.config
        scale = getattr(shape, "logit_scale", None) or 1 / (getattr(shape, "logits_scaling", None) or 1)
        return cls(layer.weight, getattr(layer, "bias", None), scale)

    def inputs(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """[n, D'] and [V, D'] whose products are the logits of [n, D] states."""
        scaled = hidden * self.scale if self.scale != 1 else hidden
        if self.bias is None:
            return scaled, self.weight
        ones = scaled.new_full((len(scaled), 1), self.scale)
        return torch.cat([scaled, ones], 1), torch.cat([self.weight, self.bias[:, None]], 1)
