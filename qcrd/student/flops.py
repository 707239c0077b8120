"""How much the models of this process have computed, counted from tokens: a profiler would slow them.

Counted are the linear layers' products, 2 FLOP for each weight and token forwards and 4 more backwards, as
the code does them: what is looked up is not computed. Attention's own products, a small share but in a small
model with long inputs, and all that works on single numbers are left out.
"""

from __future__ import annotations

import torch

_flops = 0


def count(weights: int, tokens: int, known: bool = False, frozen: bool = False, leaf: bool = False) -> None:
    """Add what a linear layer, or several, take for some tokens; with a gradient both directions at once.

    Args:
        weights: numbers in their matrices.
        tokens: that they are applied to.
        known: whether the way forwards is looked up instead of computed.
        frozen: whether the weights get no gradient, so that the way backwards computes that of inputs alone.
        leaf: whether the inputs get none, as in a first layer behind frozen embeddings.
    """
    global _flops
    ways = (3 - frozen - leaf if torch.is_grad_enabled() else 1) - known
    _flops += 2 * weights * tokens * ways


def total() -> int:
    """All so far; what matters are differences."""
    return _flops
