"""The recipe of the embedded teacher: everything that determines its weights, and so its identity."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from qcrd.config import Teacher
from qcrd.fingerprint import fingerprint
from qcrd.tasks.arithmetic import generate, vocabulary
from qcrd.types import Question

# Precomputed for the default recipe: generating its 4,400 problems would dominate the time of `qcrd plan`.
_KNOWN_DATA = {(0, 4400): "6572f86144f4"}
"""Fingerprint of the problems by (seed, count); a test compares it with the generated problems."""


@dataclass(frozen=True, slots=True)
class EmbeddedRecipe:
    """Everything that determines the embedded teacher's weights."""

    accuracy: float = 0.55  # sampling accuracy on the held-out problems at which training stops
    temperature: float = 0.7  # for measuring the sampling accuracy
    problems: int = 4000
    held_out: int = 400
    width: int = 96
    layers: int = 2
    heads: int = 3  # head size 32, the smallest that vLLM's CPU engine supports
    feed_forward: int = 192
    lr: float = 5e-3  # peak, cosine to zero at max_steps
    warmup: int = 20
    batch: int = 32
    # Without smoothing the model is confidently wrong: all samples of a question share the error, and
    # majority voting gains 5 points of accuracy; with smoothing it gains 14.
    label_smoothing: float = 0.1
    max_steps: int = 600
    check_from: int = 100  # first step at which accuracy is measured
    check_every: int = 20  # steps between two checks; accuracy rises by about 0.1 meanwhile
    near: float = 0.12  # within this distance below the target, check every `check_near` steps
    check_near: int = 5  # accuracy rises by about 0.03 meanwhile, the resolution of 400 answers
    seed: int = 0

    @classmethod
    def of(cls, teacher: Teacher) -> EmbeddedRecipe:
        """The recipe for a teacher's configuration."""
        return cls() if teacher.accuracy is None else cls(accuracy=teacher.accuracy)

    def data(self) -> tuple[list[Question], list[Question]]:
        """Training and held-out problems; disjoint from the task's splits."""
        questions = generate(self.seed, self.problems + self.held_out)
        return questions[: self.problems], questions[self.problems :]

    def fingerprint(self) -> str:
        """Short id of the recipe, the problems and the vocabulary."""
        data = _KNOWN_DATA.get((self.seed, self.problems + self.held_out)) or self.data_fingerprint()
        return fingerprint({**asdict(self), "data": data, "vocabulary": vocabulary()})

    def data_fingerprint(self) -> str:
        """Short id of the training and held-out problems, computed from the problems."""
        return fingerprint([[q.text, q.rationale, q.label] for part in self.data() for q in part])
