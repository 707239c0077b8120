"""A decoder-only model without its head."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from torch import Tensor, nn
from transformers import PreTrainedModel

from qcrd.discriminator.encoders.base import Encoder
from qcrd.student import flops
from qcrd.student.causal.forward import hidden_states
from qcrd.student.causal.packing import Layout, share_prefixes
from qcrd.student.causal.replay import Plain
from qcrd.student.device import to_device


class CausalEncoder(Encoder):
    """Packed sequences in which a token attends to those before it; a common prefix is computed once.

    The rationales of a question begin with the question, so that it is read once for all of them.
    """

    def __init__(self, model: PreTrainedModel):
        """`model` is the base of a causal model of `qcrd.student.causal.families`."""
        self.model = model
        self.width = model.config.hidden_size
        linear = [module.weight for module in model.modules() if isinstance(module, nn.Linear)]
        self._linear_weights = sum(weight.numel() for weight in linear)

    def states(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """See `Encoder.states`."""
        device = self.model.device
        forest, ends = share_prefixes(rows)
        layout = Layout.of(forest, device)
        flops.count(self._linear_weights, len(layout.ids))
        states = hidden_states(self.model, layout, Plain())
        begin = layout.begin
        paths = [[t for n in forest.path(end) for t in range(begin[n], begin[n + 1])] for end in ends]
        row = [number for number, path in enumerate(paths) for _ in path]
        tokens = to_device(list(chain.from_iterable(paths)), device)
        return states.index_select(0, tokens), to_device(row, device)
