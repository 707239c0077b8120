"""What the discriminator's head needs of a model: one vector for each sequence."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from torch import Tensor
from transformers import PreTrainedModel

from qcrd.losses.likelihood import row_means


class Encoder(ABC):
    """A model with what it takes to pool its states.

    Attributes:
        model: the model, whose weights are trained.
        width: W, the size of its states.
    """

    model: PreTrainedModel
    width: int

    @abstractmethod
    def states(self, rows: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
        """[N, W] the last layer's states of the N tokens of some sequences, and [N] the sequence of each."""

    def pooled(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """[R, W] means of the states over the tokens of each of R sequences."""
        states, row = self.states(rows)
        return row_means(states, row, len(rows))
