"""Draws the next token of each sequence: at a temperature, among the likeliest.

As transformers' `generate` does it, and from the same distribution: temperature first, then the k likeliest,
then of these the smallest set that holds top_p of their probability. The k likeliest of 32,000 are found
without sorting the others, in less time than a draw among all of them takes; top_p alone has to sort all.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

GROUP = 128  # tokens whose probabilities are added up before one is drawn


def draw(logits: Tensor, generator: Generator | None, top_k: int | None = None, top_p: float = 1.0) -> Tensor:
    """[n, V] -> [n] one token of each row's softmax, cut to the likeliest.

    Args:
        logits: divided by the temperature.
        generator: on their device.
        top_k: tokens that may be drawn; None is all.
        top_p: share of their probability that the likeliest of them must have together; 1 is all.
    """
    if top_p == 1 and (top_k is None or top_k >= logits.shape[1]):
        return _draw_any(logits, generator)
    weight, tokens = candidates(logits, top_k, top_p)
    uniform = torch.rand(len(logits), 1, generator=generator, device=logits.device, dtype=torch.float64)
    return tokens.gather(1, _pick(weight, uniform)[:, None]).squeeze(1)


def candidates(logits: Tensor, top_k: int | None, top_p: float) -> tuple[Tensor, Tensor]:
    """[n, V] -> weights [n, K] and tokens [n, K] of what may be drawn, the likeliest first.

    K is `top_k`, or V where it is None. A token beyond top_p has weight 0. Of tokens that are equally likely
    at the edge as many stay as fit, where transformers keeps one or more beyond k.
    """
    values, tokens = logits.topk(min(top_k or logits.shape[1], logits.shape[1]), dim=-1)
    weight = torch.exp(values - values[:, :1])
    if top_p < 1:
        before = weight.cumsum(-1) - weight
        weight = weight * (before < top_p * weight.sum(-1, keepdim=True))
    return weight, tokens


def _draw_any(logits: Tensor, generator: Generator | None) -> Tensor:
    """[n, V] -> [n] one token of each row's softmax.

    First a group of tokens is drawn, then one of its tokens, by inverse cumulative sums: over T5's 32,000
    tokens cheaper than `torch.multinomial`, and the sums are short.
    """
    weight = torch.exp(logits - logits.amax(-1, keepdim=True))
    groups = pad(weight, (0, -weight.shape[1] % GROUP)).unflatten(1, (-1, GROUP))
    uniform = torch.rand(len(logits), 2, generator=generator, device=logits.device, dtype=torch.float64)
    group = _pick(groups.sum(-1), uniform[:, :1])
    inside = groups.gather(1, group[:, None, None].expand(-1, 1, GROUP)).squeeze(1)
    return group * GROUP + _pick(inside, uniform[:, 1:])


def _pick(weight: Tensor, uniform: Tensor) -> Tensor:
    """[n, M] weights and [n, 1] numbers in [0, 1) -> [n]; never one of weight 0."""
    total = weight.double().cumsum(-1)
    found = torch.searchsorted(total, uniform * total[:, -1:], right=True).squeeze(1)
    last = (weight > 0).long().mul(torch.arange(1, weight.shape[1] + 1, device=weight.device)).amax(-1) - 1
    return torch.minimum(found, last)
