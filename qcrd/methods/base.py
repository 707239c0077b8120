"""A method's description: which samples it learns from, and which settings its result depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

from qcrd import config
from qcrd.errors import ConfigError, did_you_mean

SECTIONS = ("contrastive", "selfplay", "discriminator", "edit", "selection")
SETTINGS = ("alpha1", "alpha2", "max_rationale", "targets", "iteration", "m", "baseline_m")
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
    and max_rationale; targets (`student.targets: sequence` makes its student write one sequence, whose loss
    reads neither alpha1 nor alpha2); iteration (where something of its own happens in `begin_iteration`; what
    selfplay, discriminator and selection do there is known); m or baseline_m. All else enters every cell's
    id."""
    writes: Literal["label", "sequence"]
    """What the student answers a question with unless `student.targets` says otherwise: the label, or
    rationale and label in one sequence."""
    build: str | Callable[[Any], Any]
    """A function of `qcrd.objectives.base.Ingredients` that returns an `Objective`, or its "module:name". The
    latter is imported where a cell trains, so that planning needs no torch."""
    own: config.Selection | None = None
    """Which of its samples it learns from where a cell does not say: rule, accuracy and diversity, and n with
    a rule that counts. None for methods that select nothing."""
    options: type[config.Section] | None = None
    """What a cell's `options` may say; None is nothing."""

    def __post_init__(self) -> None:
        uses: object = self.uses  # whatever a plugin wrote
        if not isinstance(uses, frozenset):
            self._refuse("uses", self.uses, f"a frozenset of {', '.join(USABLE)}")
        for word in sorted(self.uses - set(USABLE), key=str):
            self._refuse("uses", word, ", ".join(USABLE) + did_you_mean(str(word), USABLE))
        if not (callable(self.build) or (isinstance(self.build, str) and self.build.count(":") == 1)):
            allowed = "a function of Ingredients that returns an Objective, or its 'module:name'"
            self._refuse("build", self.build, allowed)
        if self.options is not None and not _is_section(self.options):
            self._refuse("options", self.options, "None, or a class that derives from qcrd.config.Section")
        if self.own is not None:
            for name in ("rule", "accuracy", "diversity"):
                if getattr(self.own, name) is None:
                    self._refuse(f"own.{name}", None, "a value, which holds where a cell says none")

    def _refuse(self, field: str, value: object, allowed: str) -> None:
        raise ConfigError(f"method {self.name!r}: {field}: value {value!r}; allowed: {allowed}")

    def objective(self, given: Any) -> Any:
        """The `Objective` over one training set, from its `Ingredients`."""
        return self.builder()(given)

    def builder(self) -> Callable[[Any], Any]:
        """`build`, imported where it is given by its name."""
        if not isinstance(self.build, str):
            return self.build
        module, _, name = self.build.partition(":")
        build: Callable[[Any], Any] = getattr(import_module(module), name)
        return build

    @property
    def explains(self) -> bool:
        """Whether it trains on rationales, so that its student can write one."""
        return "max_rationale" in self.uses

    def written(self, student: config.Student) -> Literal["label", "sequence"]:
        """What the student answers a question with under these settings."""
        return "sequence" if self.chooses_sequence(student) else self.writes

    def chooses_sequence(self, student: config.Student) -> bool:
        """Whether `student.targets` is in force and makes it write rationale and label in one sequence."""
        return "targets" in self.uses and student.targets == "sequence"

    @property
    def needs_teacher(self) -> bool:
        """Whether it reads the teacher's samples whatever labels it trains on."""
        return "teacher" in self.uses

    @property
    def votes(self) -> bool:
        """Whether it reads all m samples; other methods read `baseline_m`."""
        return "m" in self.uses

    @property
    def contrasts(self) -> bool:
        """Whether it has the contrastive loss of positives and negatives."""
        return "contrastive" in self.uses

    @property
    def plays_itself(self) -> bool:
        """Whether it can sample negatives from the student's past."""
        return "selfplay" in self.uses

    @property
    def needs_discriminator(self) -> bool:
        """Whether it can weigh rationales by a discriminator; the cell's settings may switch it off."""
        return "discriminator" in self.uses

    @property
    def edits(self) -> bool:
        """Whether it learns from pairs of a right and a wrong rationale (section `edit`)."""
        return "edit" in self.uses

    @property
    def selects(self) -> bool:
        """Whether it selects among a question's rationales."""
        return self.own is not None

    def samples(self, rationales: config.Rationales) -> int:
        """Teacher samples per question that the method looks at."""
        return rationales.m if self.votes else rationales.baseline_m

    def settings(self, cell: config.Cell) -> config.Section | None:
        """The cell's options, checked and with their defaults."""
        return None if self.options is None else self.options.model_validate(dict(cell.options))

    def denoise(self, rationales: config.Rationales) -> Literal["gold", "majority"]:
        """What a positive's answer must equal. Baselines take what the teacher says, right or wrong."""
        return rationales.chooses if self.votes else "majority"

    def unread(self, rationales: config.Rationales, student: config.Student) -> Literal["drop", "negative"]:
        """What a rationale is whose label could not be read. In a sequence it lacks the label, so it is
        dropped."""
        return rationales.unread if self.votes and not self.chooses_sequence(student) else "drop"

    def selection(self, section: config.Selection) -> config.Selection:
        """The cell's selection, what it leaves open as the method has it."""
        return self.own.model_copy(update=section.model_dump(exclude_none=True)) if self.own else section


def _is_section(thing: object) -> bool:
    return isinstance(thing, type) and issubclass(thing, config.Section)
