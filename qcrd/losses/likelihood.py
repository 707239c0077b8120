"""l(f(x), r): the mean negative log-likelihood of a sequence under the student (section 3.3.2)."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

CHUNK = 64 * 2**20  # number of logits computed at a time
KEPT = 1024 * 2**20  # bytes of logit gradients kept for the backward pass; the rest is recomputed


def token_cross_entropy(hidden: Tensor, weight: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of each token from the head's input, without the full [N, V] logits in memory.

    If a gradient is needed, the logits are converted in place into their gradient (softmax minus one-hot) and
    kept up to `KEPT` bytes.

    Args:
        hidden: [N, D] input of the output head.
        weight: [V, D] weight of the head; the softmax is computed in float32 or higher precision.
        targets: [N] token ids.

    Returns:
        [N] nats, in float32 or higher precision.
    """
    dtype = hidden.dtype
    if torch.is_autocast_enabled(hidden.device.type):  # autocast does not apply inside a Function
        dtype = torch.get_autocast_dtype(hidden.device.type)
    return _TokenCrossEntropy.apply(hidden, weight, targets, dtype, torch.is_grad_enabled())


def row_means(values: Tensor, row: Tensor, rows: int, weights: Tensor | None = None) -> Tensor:
    """[N, ...] values of packed tokens -> [R, ...] their means; 0 for a row without tokens.

    Args:
        values: values of the tokens; [N] if `weights` is given.
        row: [N] long, the sequence that each token belongs to.
        rows: R.
        weights: [N] non-negative token weights: the means are sum w v / sum w, and 0 for a row whose weights
            are all 0. None: equal weights.
    """
    if weights is not None:
        weights = weights.to(values.dtype)
        total = values.new_zeros(rows).index_add(0, row, weights * values)
        weight = values.new_zeros(rows).index_add(0, row, weights)
        return total / weight.where(weight > 0, 1)
    total = values.new_zeros(rows, *values.shape[1:]).index_add(0, row, values)
    count = torch.bincount(row, minlength=rows).clamp(min=1)
    return total / count.view(-1, *[1] * (values.dim() - 1))


class _TokenCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, targets: Tensor, dtype: torch.dtype, grad: bool
    ) -> Tensor:
        step = max(1, CHUNK // len(weight))
        narrow, head = hidden.detach().to(dtype), weight.detach().to(dtype)
        nats, kept, budget = [], [], KEPT
        for start in range(0, len(targets), step):
            rows = slice(start, start + step)
            keep = grad and budget > 0
            chunk_nats, slope = _nats(narrow[rows], head, targets[rows], keep)
            nats.append(chunk_nats)
            if slope is not None:
                kept.append(slope)
                budget -= slope.nbytes
        ctx.save_for_backward(hidden, weight, targets)
        ctx.dtype, ctx.step, ctx.kept = dtype, step, kept
        return torch.cat(nats) if nats else hidden.new_zeros(0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        hidden, weight, targets = ctx.saved_tensors
        narrow, head = hidden.to(ctx.dtype), weight.to(ctx.dtype)
        into_hidden = torch.empty_like(hidden)
        into_weight = torch.zeros_like(weight) if ctx.needs_input_grad[1] else None
        scaled = (narrow * grad[:, None]).to(ctx.dtype)
        for number, start in enumerate(range(0, len(targets), ctx.step)):
            rows = slice(start, start + ctx.step)
            if number < len(ctx.kept):
                slope = ctx.kept[number]
            else:
                slope = _nats(narrow[rows], head, targets[rows], True)[1]
            into_hidden[rows] = (slope @ head) * grad[rows, None]
            if into_weight is not None:  # None for a frozen head, as with LoRA
                into_weight += slope.t() @ scaled[rows]
        return into_hidden, into_weight, None, None, None


def _nats(hidden: Tensor, head: Tensor, targets: Tensor, slope: bool) -> tuple[Tensor, Tensor | None]:
    """[n] nats, and [n, V] their gradient with respect to the logits."""
    logits = hidden @ head.t()
    logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
    whole = torch.logsumexp(logits, -1)
    places = targets[:, None]
    nats = whole - logits.gather(1, places).squeeze(1)
    if not slope:
        return nats, None
    share = logits.sub_(whole[:, None]).exp_()
    return nats, share.scatter_add_(1, places, share.new_full((len(share), 1), -1.0)).to(hidden.dtype)
