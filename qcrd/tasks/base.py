"""The task protocol, which every data set implements."""

from __future__ import annotations

from typing import Literal, Protocol, runtime_checkable

from qcrd import config
from qcrd.tasks.shots import Shots
from qcrd.types import Parsed, Prompt, Question, Splits


@runtime_checkable
class Task(Protocol):
    """A data set: its questions, the teacher's prompts, and how to parse and compare answers.

    Two labels are equal if their canonical answers (`answer`) are the same string. No method raises on the
    output of a model, whatever it contains.
    """

    @property
    def name(self) -> str:
        """Value of `task.name` in a configuration."""
        ...

    @property
    def kind(self) -> Literal["equation", "choice", "text"]:
        """Kind of its labels."""
        ...

    @property
    def cue(self) -> str:
        """Word that asks a decoder-only student for the label in a plain prompt, such as `Answer`."""
        ...

    @property
    def stop(self) -> tuple[str, ...]:
        """Strings at which the teacher's answer ends."""
        ...

    def vocabulary(self) -> list[str] | None:
        """All words of its texts if they are generated; None for natural language.

        If all of them are words of the arithmetic task, a student can use its word-level tokenizer.
        """
        ...

    def load(self, config: config.Task) -> Splits:
        """Load the three splits.

        Raises:
            DataError: if the data is missing, not in the expected format or smaller than requested.
        """
        ...

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """The teacher's prompt; `shots` replace the task's instructions and examples."""
        ...

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """Parse an answer of the teacher, or a `target` that a student generated."""
        ...

    def answer(self, label: str, question: Question) -> str | None:
        """Canonical answer of a label; None if the label is invalid."""
        ...

    def correct(self, label: str, question: Question) -> bool:
        """Whether a label is equivalent to the gold label; False for an invalid label."""
        ...

    def target(self, rationale: str, label: str) -> str:
        """Rationale and label as one sequence, the inverse of `parse` (Single-Task's target)."""
        ...


def predicted_label(task: Task, question: Question, text: str, sequence: bool) -> str | None:
    """The label in what a student wrote; None if it cannot be read.

    Args:
        task: the question's task.
        question: what was asked.
        text: the student's output.
        sequence: whether it is rationale and label in one text; else it is the label.
    """
    return task.parse(text, question).label if sequence else text
