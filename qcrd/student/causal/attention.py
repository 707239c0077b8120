"""Attention over packed segments, as an attention function of transformers.

`AttentionInterface` lets a model of any family call another attention. The packed layout reaches it as the
keyword argument `packed`, which models hand down; without one a model attends as with `sdpa`.
"""

from __future__ import annotations

from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

from qcrd.student.causal.packing import Layout
from qcrd.student.causal.replay import Way

NAME = "qcrd_packed"


class Attend(Protocol):
    """What computes attention for the tokens of one forward pass."""

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        dropout: float,
        softcap: float | None,
        window: int | None,
    ) -> Tensor:
        """[N, H, d] queries and [N, G, d] keys and values of N packed tokens -> [N, H * d]."""
        ...


def attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    packed: Attend | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **kwargs: Any,
) -> tuple[Tensor, None]:
    """The function that is registered; [1, H, N, d] -> [1, N, H, d] where `packed` is given."""
    if packed is None:
        if attention_mask is not None and attention_mask.shape[3] != key.shape[2]:
            raise NotImplementedError("the model does not hand keyword arguments down to its attention")
        kwargs |= {"sliding_window": sliding_window}
        result: tuple[Tensor, None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=dropout, scaling=scaling, **kwargs
        )
        return result
    if kwargs.get("s_aux") is not None:
        raise NotImplementedError("attention sinks")
    if scaling is None:
        scaling = query.shape[-1] ** -0.5
    q, k, v = (part[0].transpose(0, 1) for part in (query, key, value))
    found = packed(module, q, k, v, scaling, dropout, softcap, sliding_window)
    return found[None].unflatten(2, (query.shape[1], -1)), None


class PackedAttention:
    """Each token of a layout attends to its path."""

    def __init__(self, layout: Layout, way: Way):
        self.layout, self.way = layout, way
        self.calls = 0

    def __call__(
        self,
        module: nn.Module,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        scaling: float,
        dropout: float,
        softcap: float | None,
        window: int | None,
    ) -> Tensor:
        """See `Attend`."""
        self.calls += 1
        fused = not dropout and softcap is None
        outputs = []
        stays = None
        if dropout:
            span = max(part.visible.shape[2] for part in self.layout.rectangles)
            stays = self.way.attention_mask(len(query), query.shape[1], span, dropout, query.device)
        for part in self.layout.rectangles:
            visible = part.visible if window is None else part.visible & (part.distance < window)
            q, k, v = (
                tokens.index_select(0, cells).unflatten(0, (part.rows, -1)).transpose(1, 2)
                for tokens, cells in ((query, part.queries), (key, part.keys), (value, part.keys))
            )
            if fused:
                found = scaled_dot_product_attention(
                    q, k, v, attn_mask=visible[:, None], scale=scaling, enable_gqa=True
                )
            else:
                shares = _shares(q, k, visible, scaling, softcap)
                if stays is not None:
                    mask = stays[..., : shares.shape[4]].index_select(0, part.queries)
                    mask = mask.unflatten(0, (part.rows, -1)).transpose(1, 2).reshape(shares.shape)
                    shares = shares * mask / (1 - dropout)
                found = (shares @ v[:, :, None]).flatten(1, 2)  # [c, G, H/G, C, d] -> [c, H, C, d]
            outputs.append(found.transpose(1, 2).flatten(0, 1))
        cells = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        return cells.index_select(0, self.layout.place).flatten(1)


def _shares(query: Tensor, key: Tensor, visible: Tensor, scaling: float, softcap: float | None) -> Tensor:
    """[c, H, C, d] and [c, G, S, d] -> [c, G, H/G, C, S] probabilities."""
    query = query.unflatten(1, (key.shape[1], -1)) * scaling
    products = query @ key[:, :, None].transpose(3, 4)
    if softcap is not None:
        products = torch.tanh(products / softcap) * softcap
    products = products.masked_fill(~visible[:, None, None], -torch.inf)
    return torch.softmax(products, -1, dtype=torch.float32).to(query.dtype)


AttentionInterface.register(NAME, attention)
AttentionMaskInterface.register(NAME, sdpa_mask)
