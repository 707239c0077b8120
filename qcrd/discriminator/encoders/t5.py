"""The encoder of a T5 (section 3.3.1)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel

from qcrd.discriminator.encoders.base import Encoder
from qcrd.student.device import to_device
from qcrd.student.t5.forward import Stack
from qcrd.student.t5.packing import Layout


class T5Encoder(Encoder):
    """Packed sequences in which every token attends to its whole sequence."""

    def __init__(self, model: PreTrainedModel):
        """`model` is a `T5EncoderModel` or `MT5EncoderModel`."""
        self.model = model
        self.width = model.config.d_model
        self._stack = Stack(model.encoder)

    def states(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """See `Encoder.states`."""
        device = self.model.device
        lengths = [len(row) for row in rows]
        ids = [token for row in rows for token in row]
        row = [number for number, length in enumerate(lengths) for _ in range(length)]
        ids, row = to_device([ids, row], device)
        return self._stack.encode(ids, Layout.of(lengths, device)), row
