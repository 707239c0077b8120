"""An objective: the loss that a batch of questions has, and what happens between iterations."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from torch import Tensor

from qcrd import config
from qcrd.discriminator.questions import DiscriminatorQuestion
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.rationales.prompted_duals import Pair
from qcrd.student.base import Student
from qcrd.student.selfplay import Snapshots
from qcrd.tasks.base import Task
from qcrd.types import Question, RationaleSet


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a method may build its objective from."""

    student: Student
    task: Task
    questions: Sequence[Question]  # training questions; their gold labels are not for training
    sets: Sequence[RationaleSet]  # one for each question, each with a label: see `labels`
    training: config.Training
    lengths: config.Student  # max_input, max_rationale, max_label
    selection: config.Selection  # as `Method.selection` gives it; not read by methods that select nothing
    measurer: Callable[[], Student] | None  # loads the model of selection.measured_by; None where none is
    contrastive: config.Contrastive
    selfplay: config.SelfPlay
    edit: config.Edit
    discriminator: DiscriminatorTrainer | None  # None where none weighs
    discriminator_questions: Sequence[DiscriminatorQuestion]  # empty where there is no discriminator
    seed: int
    written: Literal["label", "sequence"] = "label"  # what the student answers: `Method.written`
    pairs: Sequence[Sequence[Pair]] = ()  # duals that the teacher was asked for; empty where it was not
    options: config.Section | None = None  # those that the method declares, checked

    @property
    def labels(self) -> list[str]:
        """The label of each question's set.

        Raises:
            ValueError: where a set has none; such questions are not trained on.
        """
        labels = [s.label for s in self.sets if s.label is not None]
        if len(labels) < len(self.sets):
            raise ValueError(f"{len(self.sets) - len(labels)} rationale sets have no label to train on")
        return labels


class Objective(Protocol):
    """The loss of one method over one training set."""

    lag: int
    """Iterations that snapshots must reach back; 0 where no snapshot is needed."""
    statistics: Mapping[str, float]
    """What it found in the rationales that it was given, for the cell's record."""

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """What happens between iterations; returns figures for the journal.

        `coming` are the numbers of the questions that the iteration's batches hold, in rising order.
        """
        ...

    def loss(self, batch: Sequence[int], step: int) -> dict[str, Tensor]:
        """Scalar losses of the questions with these numbers; `loss` is the one to minimise."""
        ...

    def figures(self) -> Mapping[str, float]:
        """What the whole training came to, for the cell's record; asked for after the last step."""
        ...

    def state(self) -> dict[str, Tensor]:
        """Tensors that a resumed training needs besides the student's."""
        ...

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """Go on from `state()`."""
        ...


class Stateless:
    """Default no-op implementations for objectives.

    `shares` and `token_weights` tell `qcrd why` how the loss weighs the rationales of one question. They are
    asked of the class, since no objective is at hand after training.
    """

    lag = 0
    statistics: Mapping[str, float] = MappingProxyType({})

    def begin_iteration(
        self, iteration: int, snapshots: Snapshots, coming: Sequence[int]
    ) -> dict[str, float]:
        """Nothing happens between iterations."""
        return {}

    def figures(self) -> Mapping[str, float]:
        """Nothing to report."""
        return {}

    @staticmethod
    def shares(
        cell: config.Cell, sides: Sequence[bool | None], likelihoods: Tensor | None
    ) -> list[float] | None:
        """Coefficient of each rationale of one question in the loss of its side.

        A discriminator's weights, alpha2 and beta come on top.

        Args:
            cell: the settings.
            sides: for each rationale whether it is offered as a positive or as a negative; None for one that
                the selection leaves out.
            likelihoods: [R] l(f(x), r), nats per token; None where no student is at hand.

        Returns:
            [R] coefficients, 0 for a rationale that does not count; None where they cannot be told, such as
            those that change from step to step.
        """
        return None

    @staticmethod
    def token_weights(
        cell: config.Cell, positives: Sequence[Sequence[int]], negatives: Sequence[Sequence[int]]
    ) -> list[list[float]] | None:
        """How much each token counts in l of a question's positives, then negatives; None is all alike."""
        return None

    def state(self) -> dict[str, Tensor]:
        """No state."""
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """No state."""


def weighing(build: Callable[..., object]) -> type[Stateless]:
    """The class whose `shares` and `token_weights` hold for what `build` builds.

    It is `Stateless`, which tells nothing, for a function and for a class that does not derive from it.
    """
    return build if isinstance(build, type) and issubclass(build, Stateless) else Stateless
