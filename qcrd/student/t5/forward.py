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
from torch.nn.functional import embedding, gelu, linear, relu, rms_norm, scaled_dot_product_attention
from transformers.activations import ACT2FN

from qcrd.student import flops
from qcrd.student.t5.packing import Layout
from qcrd.student.t5.replay import Arithmetic

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

    @property
    def linear(self) -> list[Tensor]:
        """The weights that each of its tokens goes through."""
        crossed = [self.cross.q, self.cross.o] if self.cross is not None else []
        own = [self.own.q, self.own.k, self.own.v, self.own.o]
        return [*own, *crossed, *self.feed_forward.inner, self.feed_forward.outer]

    @property
    def crossing(self) -> Attention:
        """The cross attention of a decoder's layer.

        Raises:
            ValueError: for an encoder's.
        """
        if self.cross is None:
            raise ValueError("a layer of an encoder has no cross attention")
        return self.cross


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
        self.weights = sum(weight.numel() for block in self.blocks for weight in block.linear)

    def arithmetic(self) -> Arithmetic:
        """For one forward pass; with dropout while the module is in training."""
        return Arithmetic(self.rate if self.module.training else 0.0)

    def encode(self, ids: Tensor, layout: Layout) -> Tensor:
        """[N] packed ids of R inputs -> [N, D] packed states; `layout` has a row for each input."""
        way = self.arithmetic()
        flops.count(self.weights, len(ids))
        biases = [
            bias + beyond
            for bias, beyond in zip(self._biases(layout), layout.hidden(self.positions.dtype), strict=True)
        ]
        states = way.dropout(embedding(ids, self.embedding))
        for block in self.blocks:
            states = states + self._own(block.own, states, layout, biases, way)
            states = states + self._feed_forward(block.feed_forward, states, way)
        return way.dropout(self._normed(states, self.norm))

    def remember(self, states: Tensor, layout: Layout) -> Memory:
        """What a decoder's layers attend to, from an encoder's packed states; `layout` is one rectangle."""
        once = sum(block.crossing.k.numel() + block.crossing.v.numel() for block in self.blocks)
        flops.count(once, len(states))
        pairs = [
            tuple(
                self._heads(layout.spread(linear(states, weight)))[0]
                for weight in (block.crossing.k, block.crossing.v)
            )
            for block in self.blocks
        ]
        return Memory(pairs, *layout.hidden(states.dtype))

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
        flops.count(self.weights, len(ids), known=way.known)
        biases = self._biases(layout)
        inputs = [part.rows for part in cross.rectangles]
        beyond = [memory.bias[rows] for rows in inputs]
        states = way.dropout(embedding(ids, self.embedding))
        for block, pair in zip(self.blocks, memory.keys_values, strict=True):
            states = states + self._own(block.own, states, layout, biases, way)
            normed = self._normed(states, block.crossing.norm)
            keys, values = ([each.index_select(0, rows) for rows in inputs] for each in pair)
            found = attend(way.linear(normed, block.crossing.q), cross, keys, values, beyond, way)
            states = states + way.dropout(way.linear(found, block.crossing.o))
            states = states + self._feed_forward(block.feed_forward, states, way)
        return way.dropout(self._normed(states, self.norm))

    def _biases(self, layout: Layout) -> list[Tensor]:
        """For each rectangle [1, H, width, width]: relative position bias, -inf where none may look."""
        widest = max(part.width for part in layout.rectangles)
        device = self.positions.device
        bucket = buckets(widest, self.decoder, self.buckets, self.distance, device)
        found = embedding(bucket, self.positions).permute(2, 0, 1)[None]
        if self.decoder:
            ahead = torch.ones(widest, widest, dtype=torch.bool, device=bucket.device).triu(1)
            found = found.masked_fill(ahead, -torch.inf)
        return [found[:, :, : part.width, : part.width] for part in layout.rectangles]

    def _own(
        self, part: Attention, states: Tensor, layout: Layout, biases: Sequence[Tensor], way: Arithmetic
    ) -> Tensor:
        normed = self._normed(states, part.norm)
        query, key, value = (way.linear(normed, weight) for weight in (part.q, part.k, part.v))
        keys, values = self._heads(layout.spread(key)), self._heads(layout.spread(value))
        return way.dropout(way.linear(attend(query, layout, keys, values, biases, way), part.o))

    def _feed_forward(self, part: FeedForward, states: Tensor, way: Arithmetic) -> Tensor:
        normed = self._normed(states, part.norm)
        inner = self.activation(way.linear(normed, part.inner[0]))
        if len(part.inner) == 2:
            inner = inner * way.linear(normed, part.inner[1])
        return way.dropout(way.linear(way.dropout(inner), part.outer))

    def _normed(self, states: Tensor, weight: Tensor) -> Tensor:
        return rms_norm(states, states.shape[-1:], weight, self.epsilon)

    def _heads(self, rectangles: Sequence[Tensor]) -> list[Tensor]:
        return [part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in rectangles]


def attend(
    query: Tensor,
    layout: Layout,
    keys: Sequence[Tensor],
    values: Sequence[Tensor],
    biases: Sequence[Tensor],
    way: Arithmetic,
) -> Tensor:
    """T5's attention, which does not scale its products.

    Args:
        query: [N, H * d] packed.
        layout: of the queries.
        keys: for each rectangle [r, H, S, d].
        values: alike.
        biases: for each rectangle [r or 1, H or 1, width or 1, S].
        way: for the dropout of the probabilities.

    Returns:
        [N, H * d] packed.
    """
    heads = keys[0].shape[1]
    rows = [part.unflatten(2, (heads, -1)).transpose(1, 2) for part in layout.spread(query)]
    if query.device.type == "cuda" and not way.rate:
        found = [
            scaled_dot_product_attention(q, k, v, b.to(q.dtype).expand(-1, heads, q.shape[2], -1), scale=1.0)
            for q, k, v, b in zip(rows, keys, values, biases, strict=True)
        ]
    else:  # measured on CPUs: 0.7 to 0.85 of the time of the fused kernel, which wants the whole bias
        shares = [_shares(q, k, b) for q, k, b in zip(rows, keys, biases, strict=True)]
        if way.rate:
            shares = way.attention_dropout(shares, layout)
        found = [share.to(v.dtype) @ v for share, v in zip(shares, values, strict=True)]
    return layout.collect([part.transpose(1, 2) for part in found]).flatten(1)


def _shares(query: Tensor, keys: Tensor, bias: Tensor) -> Tensor:
    product = query @ keys.transpose(2, 3)
    product = product.add_(bias) if product.dtype == bias.dtype else product + bias
    return torch.softmax(product, -1)


def buckets(width: int, decoder: bool, count: int, longest: int, device: torch.device) -> Tensor:
    """[width, width] long: which of the learnt distances lies between a query (row) and a key (column).

    Half of them are for single distances, the rest for logarithmically growing ones; an encoder has as many
    for keys ahead as for keys behind.
    """
    whole = max(64, 1 << (width - 1).bit_length())  # few tables for all widths
    return _buckets(whole, decoder, count, longest, device)[:width, :width]


@lru_cache(maxsize=16)
def _buckets(width: int, decoder: bool, count: int, longest: int, device: torch.device) -> Tensor:
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
    return (ahead + torch.where(distance < single, distance, far)).to(device)


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
