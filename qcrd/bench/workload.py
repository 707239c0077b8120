"""What a benchmark trains and times: a student by its name, with random texts of SVAMP's lengths."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol

import torch
from torch import Generator

from qcrd import config
from qcrd.bench.causal_workload import CausalName, CausalWorkload, Targets
from qcrd.bench.t5_workload import Size, T5Workload
from qcrd.bench.texts import Texts
from qcrd.objectives.base import Objective
from qcrd.student.base import Student

T5Name = Literal["t5-tiny", "t5-small", "t5-base"]
StudentName = T5Name | CausalName
T5_SIZES: dict[str, Size] = {"t5-tiny": "tiny", "t5-small": "small", "t5-base": "base"}


class Workload(Protocol):
    """Texts, and what builds students and objectives over them."""

    @property
    def texts(self) -> Texts:
        """Questions and rationales."""
        ...

    @property
    def device(self) -> torch.device:
        """Where students are."""
        ...

    @property
    def bf16(self) -> bool:
        """Whether students compute under autocast to bf16."""
        ...

    def student(self) -> Student:
        """A new student, the same in each call."""
        ...

    def objective(
        self, method: str, student: Student, scheme: str, discriminator: bool, delta: float
    ) -> Objective:
        """A method's objective over all questions."""
        ...

    def write(
        self,
        student: Student,
        inputs: Sequence[list[int]],
        lengths: Sequence[int],
        sampling: config.SelfPlay,
        generator: Generator,
        draws: int,
        batch: int,
    ) -> None:
        """Have the student write completions of given lengths.

        Args:
            student: the writer.
            inputs: token ids of each prompt.
            lengths: tokens of each completion, `draws` per prompt.
            sampling: temperature, top-k and top-p.
            generator: on the student's device.
            draws: completions per prompt.
            batch: completions written side by side.
        """
        ...


def draw_workload(
    student: StudentName,
    questions: int,
    m: int,
    k: int,
    dropout: float = 0.0,
    bf16: bool = False,
    device: str | None = None,
    targets: Targets = "multitask",
) -> Workload:
    """The workload of a student's name; see `T5Workload.draw` and `CausalWorkload.draw`."""
    if student == "llama-tiny" or student == "smollm2" or student == "qwen-0.5b":
        return CausalWorkload.draw(student, questions, m, k, dropout, bf16, device, targets)
    return T5Workload.draw(T5_SIZES[student], questions, m, k, dropout, bf16, device)
