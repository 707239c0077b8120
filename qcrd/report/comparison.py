"""Tests whether one setting is better than another, given the variation of questions and seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qcrd.report.distributions import t_above, t_quantile
from qcrd.report.statistics import CONFIDENCE, LEVEL, detectable, detectable_pairs, mcnemar
from qcrd.types import Prediction

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of the first setting minus that of the second on the same questions."""

    points: float
    low: float  # 95% interval, in points
    high: float
    p: float  # two-sided; not corrected for multiple comparisons
    test: Literal["McNemar", "t"]
    over: Literal["questions", "questions and seeds"]  # sampled units in interval and p
    questions: int
    seeds: tuple[int, int]  # numbers of seeds of the first and the second setting
    detectable: float | None = None  # minimum detectable difference at 80% power, in points; None if none

    @property
    def of_students(self) -> bool:
        """Whether it only compares two students: one seed each gives no information about other seeds."""
        return max(self.seeds) == 1

    @property
    def first_is_better(self) -> bool:
        """Whether there is evidence that the first setting (not just its student) is better."""
        return not self.of_students and self.points > 0 and self.p < LEVEL


def compare(first: Sequence[Sequence[Prediction]], second: Sequence[Sequence[Prediction]]) -> Difference:
    """First minus second, paired by question.

    With several seeds, the comparison is between settings: questions and seeds are both treated as random.
    Questions are paired. Seeds are not, because equal seeds do not make two settings more similar. The
    variance of the difference is that of the questions (as in a paired t-test) plus that of the seeds (as in
    Student's t-test of the accuracies) minus the residual that both contain; its degrees of freedom are
    Satterthwaite's (1946). The two t-tests are its limits when seeds or questions do not vary. A test that
    only resamples questions would have four times the nominal rate of false positives if seeds differ by two
    points (1,000 questions), and ten times at four points.

    With one seed each, p is McNemar's and compares these two students. As a comparison of their settings,
    its rate of false positives would be far above 5%: for equal settings whose seeds have a standard
    deviation of two points, it is 13% at 200 questions and 39% at 1,000.

    `detectable` is the minimum detectable difference for these numbers of seeds and questions. With several
    seeds it follows from the measured standard error (seeds and questions), with one seed from the number of
    questions on which the two students differ.

    The variation from resampling the teacher's answers or the training questions is not included.

    Args:
        first, second: one list of predictions per seed; all lists are for the same questions.

    Raises:
        ValueError: if there are no predictions or the questions differ.
    """
    sides = _right(first, second)
    seeds = (len(first), len(second))
    by_question = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    points = float(by_question.mean())
    questions = len(by_question)
    signs = int((by_question > 0).sum()), int((by_question < 0).sum())
    variance, freedom = _variance(sides, by_question)
    half = t_quantile((1 + CONFIDENCE) / 2, freedom) * variance**0.5
    if max(seeds) == 1 or variance == 0:
        p = mcnemar(*signs)
    else:
        p = 2 * t_above(abs(points) / variance**0.5, freedom)
    if max(seeds) == 1:
        least = detectable_pairs(sum(signs), questions)
    else:
        least = detectable(variance**0.5, freedom)
    return Difference(
        points=100 * points,
        low=100 * max(-1.0, points - half),
        high=100 * min(1.0, points + half),
        p=p,
        test="McNemar" if max(seeds) == 1 else "t",
        over="questions" if max(seeds) == 1 else "questions and seeds",
        questions=questions,
        seeds=seeds,
        detectable=None if least is None else 100 * least,
    )


def holm(ps: Sequence[float]) -> list[float]:
    """p-values adjusted for multiple comparisons (Holm 1979), which controls the family-wise error rate.

    Each is at least as large as the given one and at most 1; their order is unchanged.
    """
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = largest
    return corrected


def _variance(sides: Sequence[np.ndarray], by_question: np.ndarray) -> tuple[float, float]:
    """Variance of the mean difference, and its degrees of freedom.

    The variance of the seeds is pooled over both sides, so one side may have a single seed.
    """
    import numpy as np

    questions = len(by_question)
    if questions == 1:
        return np.inf, 1.0  # the variance of questions cannot be estimated
    of_questions = float(by_question.var(ddof=1)) / questions
    free_seeds = sum(len(side) - 1 for side in sides)
    if not free_seeds:
        return of_questions, questions - 1
    per_seed = sum(1 / len(side) for side in sides)
    by_seed = [side.mean(axis=1, keepdims=True) for side in sides]
    spread = sum(float(((means - means.mean()) ** 2).sum()) for means in by_seed)
    of_seeds = per_seed * spread / free_seeds
    residuals = [
        side - side.mean(axis=0) - means + side.mean() for side, means in zip(sides, by_seed, strict=True)
    ]
    residual_squares = sum(float((residual**2).sum()) for residual in residuals)
    shared = per_seed * residual_squares / (free_seeds * (questions - 1)) / questions
    variance = max(of_questions + of_seeds - shared, of_questions, of_seeds)
    if variance == 0:
        return 0.0, 1.0
    return variance, variance**2 / (of_questions**2 / (questions - 1) + of_seeds**2 / free_seeds)


def _right(*sides: Sequence[Sequence[Prediction]]) -> list[np.ndarray]:
    """Correctness of the predictions of each side, shape [seeds, questions], in one order of questions."""
    import numpy as np

    if not all(side and side[0] for side in sides):
        raise ValueError("no predictions given: a comparison needs at least one seed and one question")
    order = [prediction.question_id for prediction in sides[0][0]]
    correct = []
    for side in sides:
        rows = [{prediction.question_id: prediction.correct for prediction in seed} for seed in side]
        if any(row.keys() != rows[0].keys() for row in rows):
            raise ValueError("the seeds answer different questions, so they cannot be paired")
        if rows[0].keys() != set(order):
            raise ValueError(
                "the two sets of predictions answer different questions, so they cannot be paired"
            )
        correct.append(np.array([[row[question] for question in order] for row in rows], dtype=float))
    return correct
