"""A method: which samples it learns from, and what loss a batch of questions has."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from torch import Tensor

from qcrd import config
from qcrd.discriminator.questions import JudgedQuestion
from qcrd.discriminator.trainer import Judge
from qcrd.errors import ConfigError, did_you_mean
from qcrd.rationales.prompted_duals import Pair
from qcrd.student.selfplay import Snapshots
from qcrd.student.t5.student import Student
from qcrd.tasks.base import Task
from qcrd.types import Question, RationaleSet


@dataclass(frozen=True, slots=True)
class Ingredients:
    """What a method may build its objective from."""

    student: Student
    task: Task
    questions: Sequence[Question]  # training questions; their gold labels are not for training
    sets: Sequence[RationaleSet]  # one for each question, each with a label
    training: config.Training
    lengths: config.Student  # max_input, max_rationale, max_label
    selection: config.Selection  # as `Method.selection` gives it; not read by methods that select nothing
    measurer: Callable[[], Student] | None  # loads the model of selection.measured_by; None where none is
    contrastive: config.Contrastive
    selfplay: config.SelfPlay
    edit: config.Edit
    judge: Judge | None  # None where there is no quality judge
    judged: Sequence[JudgedQuestion]  # the questions for the judge, empty where there is none
    seed: int
    pairs: Sequence[Sequence[Pair]] = ()  # duals that the teacher was asked for; empty where it was not
    options: config.Section | None = None  # those that the method declares, checked


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


SECTIONS = ("contrastive", "selfplay", "discriminator", "edit", "selection")
SETTINGS = ("alpha1", "alpha2", "max_rationale", "iteration", "m", "baseline_m")
USABLE = ("teacher", *SECTIONS, *SETTINGS)
"""The words of `Method.uses`."""


@dataclass(frozen=True, slots=True)
class Method:
    """One way of distilling.

    Raises:
        ConfigError: where `uses` has a word that means nothing, `own` leaves open what a cell may leave open
            too, or `build` or `options` is of another kind.
    """

    name: str
    uses: frozenset[str]
    """What its result depends on, of: teacher; the sections contrastive, selfplay, discriminator, edit and
    selection (in every case; else only where a cell has another one than `own`); the settings alpha1, alpha2
    and max_rationale; iteration (where something of its own happens in `begin_iteration`; what selfplay,
    discriminator and selection do there is known); m or baseline_m. All else enters every cell's id."""
    writes: Literal["label", "sequence"]
    """What the student answers to `predict: `: the label, or rationale and label in one sequence."""
    build: Callable[[Ingredients], Objective]
    own: config.Selection | None = None
    """Which of its samples it learns from where a cell does not say: rule, accuracy and diversity, and n with
    a rule that counts. None for methods that select nothing."""
    options: type[config.Section] | None = None
    """What a cell's `options` may say; None is nothing."""

    def __post_init__(self):
        if not isinstance(self.uses, frozenset):
            self._refuse("uses", self.uses, f"a frozenset of {', '.join(USABLE)}")
        for word in sorted(self.uses - set(USABLE), key=str):
            self._refuse("uses", word, ", ".join(USABLE) + did_you_mean(str(word), USABLE))
        if not callable(self.build):
            self._refuse("build", self.build, "a function of Ingredients, which gives an Objective")
        if self.options is not None and not _is_section(self.options):
            self._refuse("options", self.options, "None, or a class that derives from qcrd.config.Section")
        if self.own is not None:
            for name in ("rule", "accuracy", "diversity"):
                if getattr(self.own, name) is None:
                    self._refuse(f"own.{name}", None, "a value, which holds where a cell says none")

    def _refuse(self, field: str, value: object, allowed: str) -> None:
        raise ConfigError(f"method {self.name!r}: {field}: value {value!r}; allowed: {allowed}")

    def samples(self, rationales: config.Rationales) -> int:
        """Teacher samples per question that the method looks at."""
        return rationales.m if "m" in self.uses else rationales.baseline_m

    def settings(self, cell: config.Cell) -> config.Section | None:
        """The cell's options, checked and with their defaults."""
        return None if self.options is None else self.options.model_validate(dict(cell.options))

    def denoise(self, rationales: config.Rationales) -> Literal["gold", "majority"]:
        """What a positive's answer must equal. Baselines take what the teacher says, right or wrong."""
        return rationales.chooses if "m" in self.uses else "majority"

    def unread(self, rationales: config.Rationales) -> Literal["drop", "negative"]:
        """What a rationale is whose label could not be read."""
        return rationales.unread if "m" in self.uses else "drop"

    def selection(self, section: config.Selection) -> config.Selection:
        """The cell's selection, what it leaves open as the method has it."""
        return self.own.model_copy(update=section.model_dump(exclude_none=True)) if self.own else section


def _is_section(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, config.Section)


class Stateless:
    """Base of objectives: what one does not say, it has not."""

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

    def state(self) -> dict[str, Tensor]:
        """No state."""
        return {}

    def load_state(self, tensors: dict[str, Tensor]) -> None:
        """No state."""


def inputs(student: Student, prefix: str, questions: Sequence[Question], limit: int) -> list[list[int]]:
    """The questions as the student reads them, with the task prefix."""
    return student.tokens([prefix + q.text for q in questions], limit)
