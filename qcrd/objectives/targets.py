"""What a student learns to write where a rationale is part of it: the rationale, or a whole sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qcrd import config
from qcrd.objectives.base import Ingredients
from qcrd.student.base import Kind, Student, Tokens
from qcrd.tasks.base import Task


@dataclass(frozen=True, slots=True)
class RationaleTargets:
    """Rationales as completions, alone or in one sequence with the label that they lead to."""

    student: Student
    task: Task
    sequence: bool
    limit: int
    """Most tokens of a completion."""

    @classmethod
    def of(cls, given: Ingredients) -> RationaleTargets:
        """As the method and `student.targets` want them."""
        return cls.made(given.student, given.task, given.written == "sequence", given.lengths)

    @classmethod
    def made(cls, student: Student, task: Task, sequence: bool, lengths: config.Student) -> RationaleTargets:
        """Of the lengths that the settings allow."""
        return cls(student, task, sequence, lengths.max_rationale + (lengths.max_label if sequence else 0))

    @property
    def kind(self) -> Kind:
        """Of the prompt that they answer."""
        return "solve" if self.sequence else "explain"

    def tokens(self, rationales: Sequence[str], labels: Sequence[str | None]) -> list[Tokens]:
        """Completions of at most `limit` tokens.

        Args:
            rationales: texts.
            labels: that each leads to; only read for sequences.

        Raises:
            ValueError: where a sequence has no label.
        """
        if not self.sequence:
            return self.student.completions(rationales, self.limit)
        texts = []
        for rationale, label in zip(rationales, labels, strict=True):
            if label is None:
                raise ValueError(f"no label ends the sequence of the rationale {rationale!r}")
            texts.append(self.task.target(rationale, label))
        return self.student.completions(texts, self.limit)


def no_loss(student: Student) -> Tensor:
    """0 with gradients that are 0, for a step in which nothing is learnt."""
    zero = torch.zeros((), device=student.device)
    return sum((p.sum() * 0 for p in student.parameters() if p.requires_grad), start=zero)
