"""What a data set must offer so that it can be distilled on: the one protocol of this package."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from qcrd import config
from qcrd.tasks.shots import Shots
from qcrd.types import Parsed, Prompt, Question, Splits


@runtime_checkable
class Task(Protocol):
    """One data set: its questions, how the teacher is asked, and how answers are read and compared.

    Two answers agree where their canonical forms (`answer`) are the same text; labels are only for reading
    and writing. Nothing here raises on what a model wrote, however odd it is.
    """

    @property
    def name(self) -> str:
        """What `task.name` in a configuration says."""
        ...

    @property
    def kind(self) -> Literal["equation", "choice", "text"]:
        """What its labels are."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings at which the teacher's answer ends."""
        ...

    def vocabulary(self) -> list[str] | None:
        """Every word of its texts where they are generated; None for natural text.

        Where all of them are words of the arithmetic task, a student needs no other tokenizer.
        """
        ...

    def load(self, config: config.Task) -> Splits:
        """The three splits.

        Raises:
            DataError: where the data is absent, not in the expected form or less than was asked for.
        """
        ...

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """What the teacher is asked; `shots` stand in for the task's own instructions and examples."""
        ...

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """Takes an answer of the teacher, or a `target` that a student wrote, apart."""
        ...

    def answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label, None where it is not one."""
        ...

    def correct(self, label: str, question: Question) -> bool:
        """Whether a label answers as the gold label does; False where it is no answer at all."""
        ...

    def target(self, rationale: str, label: str) -> str:
        """Rationale and label as one sequence, which `parse` reads back (Single-Task's target)."""
        ...
