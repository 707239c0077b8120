"""Forward once, differentiate only what was chosen, for any transformers model over packed tokens.

A `Recorder` watches a forward pass over all N packed tokens without gradient and keeps what each linear layer
gives, which is most of the arithmetic, and the dropout masks. A `Replay` watches a second pass over n of
these tokens, with gradient: each linear layer is looked up instead of computed, and each mask is the recorded
one. The values are those of the first pass, and the whole costs one forward pass over all tokens and one
backward pass over the chosen.

Both are `TorchFunctionMode`s: while they are entered they see every call of `torch.nn.functional.linear` and
`dropout`, LoRA's included, whatever module makes it. Calls on other shapes than [1, N, ...], such as those of
a mixture's experts, are left alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import dropout, linear
from torch.overrides import TorchFunctionMode


class Plain:
    """A pass of its own, with dropout as it comes."""

    known = False  # whether linear layers are looked up

    def __enter__(self) -> Plain:
        return self

    def __exit__(self, *error: object) -> None:
        pass

    def attention_mask(self, tokens: int, heads: int, span: int, rate: float, device: torch.device) -> Tensor:
        """[N, H, span] bool: attention probabilities that stay; the last axis is the key's position."""
        return torch.empty(tokens, heads, span, dtype=torch.bool, device=device).bernoulli_(1 - rate)


class Recorder(TorchFunctionMode):
    """The first pass."""

    known = False

    def __init__(self, tokens: int, keep: bool):
        """`tokens` N of the pass; `keep` linear layers' outputs, or compute them again in the second."""
        super().__init__()
        self.tokens, self.keep = tokens, keep
        self.outputs: list[Tensor] = []
        self.masks: list[Tensor] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Compute `func`, and keep the result of a linear layer or the mask of a dropout."""
        kwargs = kwargs or {}
        if func is linear and self.keep and _packed(args, self.tokens):
            output = func(*args, **kwargs)
            self.outputs.append(output[0])
            return output
        if func is dropout and (rate := _rate(*args, **kwargs)) and _packed(args, self.tokens):
            values = args[0]
            mask = torch.empty_like(values, dtype=torch.bool).bernoulli_(1 - rate)
            self.masks.append(mask[0])
            return values * mask / (1 - rate)
        return func(*args, **kwargs)

    def attention_mask(self, tokens: int, heads: int, span: int, rate: float, device: torch.device) -> Tensor:
        """As `Plain.attention_mask`."""
        mask = Plain.attention_mask(self, tokens, heads, span, rate, device)
        self.masks.append(mask)
        return mask


class Replay(TorchFunctionMode):
    """The second pass, over some tokens of the first."""

    def __init__(self, first: Recorder, chosen: Tensor):
        """`chosen` [n] long: the tokens' numbers in the first pass, in the order of the second."""
        super().__init__()
        self.keep = self.known = first.keep
        self.chosen, self.tokens = chosen, len(chosen)
        self.outputs, self.masks = iter(first.outputs), iter(first.masks)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Look up a linear layer's output or a dropout's mask; compute everything else."""
        kwargs = kwargs or {}
        if func is linear and self.keep and _packed(args, self.tokens):
            return _known_linear(*args, output=next(self.outputs).index_select(0, self.chosen), **kwargs)
        if func is dropout and (rate := _rate(*args, **kwargs)) and _packed(args, self.tokens):
            return args[0] * next(self.masks).index_select(0, self.chosen) / (1 - rate)
        return func(*args, **kwargs)

    def attention_mask(self, tokens: int, heads: int, span: int, rate: float, device: torch.device) -> Tensor:
        """As `Plain.attention_mask`; the first pass's, which may be wider."""
        return next(self.masks).index_select(0, self.chosen)[..., :span]


Way = Plain | Recorder | Replay
"""What a forward pass runs under."""


def _packed(args: Sequence[Any], tokens: int) -> bool:
    values: Tensor = args[0]
    return values.dim() > 2 and tuple(values.shape[:2]) == (1, tokens)


def _rate(values: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> float:
    """Of a call of `torch.nn.functional.dropout`; 0 where it does nothing."""
    return p if training else 0.0


def _known_linear(tokens: Tensor, weight: Tensor, bias: Tensor | None = None, *, output: Tensor) -> Tensor:
    """[1, n, in] -> [1, n, out], with the values `output` [n, out] and the gradients of a linear layer."""
    return _KnownLinear.apply(tokens[0], weight, bias, output)[None]


class _KnownLinear(torch.autograd.Function):
    """A linear layer whose output is known; frozen weights get no gradient."""

    @staticmethod
    def forward(ctx: Any, tokens: Tensor, weight: Tensor, bias: Tensor | None, output: Tensor) -> Tensor:
        ctx.types = tokens.dtype, weight.dtype, None if bias is None else bias.dtype
        # Autocast does not reach into a Function: the output's type is the one that it computed in.
        ctx.save_for_backward(
            tokens.to(output.dtype) if weight.requires_grad else None, weight.to(output.dtype)
        )
        return output.view_as(output)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        tokens, weight = ctx.saved_tensors
        grad = grad.to(weight.dtype)
        into_tokens = (grad @ weight).to(ctx.types[0]) if ctx.needs_input_grad[0] else None
        into_weight = (grad.t() @ tokens).to(ctx.types[1]) if ctx.needs_input_grad[1] else None
        into_bias = grad.sum(0).to(ctx.types[2]) if ctx.needs_input_grad[2] else None
        return into_tokens, into_weight, into_bias, None
