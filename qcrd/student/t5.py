"""T5's arithmetic over packed tokens, on the weights of transformers' modules.

What differs from transformers' own forward pass is what is not computed: no padding outside of attention, and
the keys and values of an input once for all the sequences that attend to it. A test holds the two equal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding, gelu, relu, rms_norm, scaled_dot_product_attention
from transformers.activations import ACT2FN

from qcrd.student.packing import Layout
from qcrd.student.tape import Arithmetic

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": relu,
    "gelu_new": partial(gelu, approximate="tanh"),
}


@dataclass(frozen=True, slots=True)
class Attention:
    """One attention sublayer: weights [out, in] and its norm's [D]."""

    norm: Tensor
    q: Tensor
    k: Tensor
    v: Tensor
    o: Tensor


@dataclass(frozen=True, slots=True)
class FeedForward:
    """One feed-forward sublayer; two inner weights where it is gated."""

    norm: Tensor
    inner: tuple[Tensor, ...]
    outer: Tensor


@dataclass(frozen=True, slots=True)
class Block:
    """One layer of a stack."""

    own: Attention
    cross: Attention | None  # of a decoder
    feed_forward: FeedForward


@dataclass(frozen=True, slots=True)
class Memory:
    """Encoded inputs as the decoder's cross attention reads them."""

    keys_values: list[tuple[Tensor, Tensor]]  # of each layer, [B, H, S, d] both
    bias: Tensor  # [B, 1, 1, S]: 0, or -inf where the input has no token

    @property
    def device(self) -> torch.device:
        """Where they are."""
        return self.bias.device


class Stack:
    """An encoder or a decoder: the weights of a `T5Stack`, by reference."""

    def __init__(self, module: nn.Module):
        """`module` is transformers' stack of a T5, T5 v1.1, FLAN-T5 or mT5."""
        config = module.config
        self.module = module
        self.heads, self.epsilon = config.num_heads, config.layer_norm_epsilon
        self.buckets, self.distance = (
            config.relative_attention_num_buckets,
            config.relative_attention_max_distance,
        )
        self.decoder = config.is_decoder
        self.rate = config.dropout_rate
        name = config.dense_act_fn
        self.activation = ACTIVATIONS.get(name) or ACT2FN[name]
        self.embedding = module.embed_tokens.weight
        self.norm = module.final_layer_norm.weight
        self.positions = module.block[0].layer[0].SelfAttention.relative_attention_bias.weight
        self.blocks = [_block(layers.layer) for layers in module.block]

    def arithmetic(self) -> Arithmetic:
        """For one forward pass; with dropout while the module is in training."""
        return Arithmetic(self.rate if self.module.training else 0.0)

    def encode(self, ids: Tensor, layout: Layout) -> Tensor:
        """[N] packed ids of R inputs -> [N, D] packed states; `layout` has a row for each input."""
        way = self.arithmetic()
        bias = self.bias(layout.width)
        if not layout.full:
            bias = bias + _hidden(layout.mask(), bias.dtype)
        states = way.dropout(embedding(ids, self.embedding))
        for block in self.blocks:
            states = states + self._own(block.own, states, layout, bias, way)
            states = states + self._feed_forward(block.feed_forward, states, way)
        return way.dropout(self._normed(states, self.norm))

    def remember(self, states: Tensor, layout: Layout) -> Memory:
        """What a decoder's layers attend to, from an encoder's packed states."""
        way = Arithmetic(0.0)
        pairs = [
            tuple(
                self._heads(layout.spread(way.linear(states, weight)))
                for weight in (block.cross.k, block.cross.v)
            )
            for block in self.blocks
        ]
        return Memory(pairs, _hidden(layout.mask(), states.dtype))

    def decode(self, ids: Tensor, layout: Layout, cross: Layout, memory: Memory, way: Arithmetic) -> Tensor:
        """Read R sequences, each token seeing those before it and one input.

        Args:
            ids: [N] packed.
            layout: a row for each sequence.
            cross: a row for each input, in which all sequences that attend to it lie side by side.
            memory: the inputs.
            way: how linear layers and dropout are computed.

        Returns:
            [N, D] packed states after the last norm.
        """
        bias = self.bias(layout.width)
        states = way.dropout(embedding(ids, self.embedding))
        for block, (keys, values) in zip(self.blocks, memory.keys_values, strict=True):
            states = states + self._own(block.own, states, layout, bias, way)
            normed = self._normed(states, block.cross.norm)
            found = attend(way.linear(normed, block.cross.q), cross, keys, values, memory.bias, way)
            states = states + way.dropout(way.linear(found, block.cross.o))
            states = states + self._feed_forward(block.feed_forward, states, way)
        return way.dropout(self._normed(states, self.norm))

    def bias(self, width: int) -> Tensor:
        """[1, H, width, width] relative position bias, -inf where a decoder may not look."""
        bucket = buckets(width, self.decoder, self.buckets, self.distance).to(self.positions.device)
        found = embedding(bucket, self.positions).permute(2, 0, 1)[None]
        if self.decoder:
            ahead = torch.ones(width, width, dtype=torch.bool, device=bucket.device).triu(1)
            found = found.masked_fill(ahead, -torch.inf)
        return found

    def _own(self, part: Attention, states: Tensor, layout: Layout, bias: Tensor, way: Arithmetic) -> Tensor:
        normed = self._normed(states, part.norm)
        query, key, value = (way.linear(normed, weight) for weight in (part.q, part.k, part.v))
        keys, values = self._heads(layout.spread(key)), self._heads(layout.spread(value))
        return way.dropout(way.linear(attend(query, layout, keys, values, bias, way), part.o))

    def _feed_forward(self, part: FeedForward, states: Tensor, way: Arithmetic) -> Tensor:
        normed = self._normed(states, part.norm)
        inner = self.activation(way.linear(normed, part.inner[0]))
        if len(part.inner) == 2:
            inner = inner * way.linear(normed, part.inner[1])
        return way.dropout(way.linear(way.dropout(inner), part.outer))

    def _normed(self, states: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(states, states.shape[-1:], weight, self.epsilon)

    def _heads(self, rectangle: Tensor) -> Tensor:
        return rectangle.unflatten(2, (self.heads, -1)).transpose(1, 2)


def attend(
    query: Tensor, layout: Layout, keys: Tensor, values: Tensor, bias: Tensor, way: Arithmetic
) -> Tensor:
    """T5's attention, which does not scale its products.

    Args:
        query: [N, H * d] packed.
        layout: a row for each of R sets of keys.
        keys: [R, H, S, d], and values alike.
        values: see keys.
        bias: [R or 1, H or 1, width or 1, S].
        way: for the dropout of the probabilities.

    Returns:
        [N, H * d] packed.
    """
    rows = layout.spread(query).unflatten(2, (keys.shape[1], -1)).transpose(1, 2)
    if query.device.type == "cuda" and not way.rate:
        wide = bias.to(rows.dtype).expand(-1, rows.shape[1], rows.shape[2], -1)
        found = scaled_dot_product_attention(rows, keys, values, wide, scale=1.0)
    else:  # measured on CPUs: 0.7 to 0.85 of the time of the fused kernel, which wants the whole bias
        share = torch.softmax(rows @ keys.transpose(2, 3) + bias, -1).to(values.dtype)
        if way.rate:  # drawn for packed tokens, so that a replay can look them up
            packed = way.dropout(layout.collect(share.transpose(1, 2)))
            share = layout.spread(packed).transpose(1, 2)
        found = share @ values
    return layout.collect(found.transpose(1, 2)).flatten(1)


@lru_cache(maxsize=512)
def buckets(width: int, decoder: bool, count: int, longest: int) -> Tensor:
    """[width, width] long: which of the learnt distances lies between a query (row) and a key (column).

    Half of them are for single distances, the rest for logarithmically growing ones; an encoder has as many
    for keys ahead as for keys behind.
    """
    distance = torch.arange(width)[None] - torch.arange(width)[:, None]
    ahead = 0
    if decoder:
        distance = (-distance).clamp(min=0)
    else:
        count //= 2
        ahead = (distance > 0).long() * count
        distance = distance.abs()
    single = count // 2
    growth = torch.log(distance.clamp(min=1).float() / single) / math.log(longest / single)
    far = (single + (growth * (count - single)).long()).clamp(max=count - 1)
    return ahead + torch.where(distance < single, distance, far)


def _hidden(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """[R, S] bool -> [R, 1, 1, S]: 0 at tokens, else -inf."""
    found = torch.zeros(mask.shape, dtype=dtype, device=mask.device)
    return found.masked_fill_(~mask, -torch.inf)[:, None, None]


def _block(layers: Sequence[nn.Module]) -> Block:
    *attentions, last = layers
    own, *cross = (
        Attention(layer.layer_norm.weight, *(getattr(part, name).weight for name in "qkvo"))
        for layer in attentions
        for part in [getattr(layer, "SelfAttention", None) or layer.EncDecAttention]
    )
    dense = last.DenseReluDense
    inner = (dense.wi_0, dense.wi_1) if hasattr(dense, "wi_0") else (dense.wi,)
    forward = FeedForward(last.layer_norm.weight, tuple(w.weight for w in inner), dense.wo.weight)
    return Block(own, cross[0] if cross else None, forward)
