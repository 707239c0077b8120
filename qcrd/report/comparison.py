"""Whether one setting is better than another, as far as questions and seeds can tell."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qcrd.report.statistics import CONFIDENCE, LEVEL, detectable, detectable_pairs, mcnemar
from qcrd.types import Prediction

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of one setting minus another's on the same questions."""

    points: float
    low: float  # 95% interval, in points
    high: float
    p: float  # two-sided, for no difference; not corrected for other comparisons
    test: Literal["McNemar", "t"]
    over: Literal["questions", "questions and seeds"]  # what interval and p allow for being others
    questions: int
    seeds: tuple[int, int]  # of the first and of the second
    detectable: float | None = None  # least true difference found in 80% of cases, in points; None is none

    @property
    def of_students(self) -> bool:
        """Whether it is about two students alone: with one seed each nothing is known about others."""
        return max(self.seeds) == 1

    @property
    def first_is_better(self) -> bool:
        """Whether there is evidence that the first setting, not only its student, is better."""
        return not self.of_students and self.points > 0 and self.p < LEVEL


def compare(first: Sequence[Sequence[Prediction]], second: Sequence[Sequence[Prediction]]) -> Difference:
    """First minus second, paired by question.

    With several seeds it is a claim about the settings: other questions and other seeds are allowed for.
    Questions are paired; seeds are not, for the same seed makes two settings' students no more alike. The
    variance of the difference is that of the questions (as in a paired t-test) plus that of the seeds (as in
    Student's t-test of the accuracies) less the residual that both contain; its degrees of freedom are
    Satterthwaite's (1946). Both t-tests are its limits, where seeds or questions do not vary. To draw
    questions alone anew, with the seeds as they are, would find differences between equal settings four
    times as often as it says where seeds differ by two points (1,000 questions), at four points ten times.

    With one seed each nothing is known about other seeds: p is McNemar's, of these two students. Taken for a
    claim about their settings it would be wrong far more often than in 5% of cases: with equal settings whose
    seeds have a standard deviation of two points in 13% at 200 questions, in 39% at 1,000.

    `detectable` says what a comparison of so many seeds and questions can find: from the measured standard
    error (seeds and questions) with several seeds, from the questions on which the two differ with one.

    Neither allows for another draw of the teacher's answers or of the training questions.

    Args:
        first, second: one list of predictions a seed; all lists answer the same questions.

    Raises:
        ValueError: where there are no predictions or the questions differ.
    """
    from scipy import stats

    sides = _right(first, second)
    seeds = (len(first), len(second))
    by_question = sides[0].mean(axis=0) - sides[1].mean(axis=0)
    points = float(by_question.mean())
    questions = len(by_question)
    signs = int((by_question > 0).sum()), int((by_question < 0).sum())
    variance, freedom = _variance(sides, by_question)
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom)) * variance**0.5
    if max(seeds) == 1 or variance == 0:
        p = mcnemar(*signs)
    else:
        p = 2 * float(stats.t.sf(abs(points) / variance**0.5, freedom))
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
    """p-values corrected for their number (Holm 1979): the chance of any false finding is as small as said.

    Each is at least as large as before, at most 1, and their order stays.
    """
    corrected = [0.0] * len(ps)
    largest = 0.0
    for rank, i in enumerate(sorted(range(len(ps)), key=ps.__getitem__)):
        largest = max(largest, min(1.0, (len(ps) - rank) * ps[i]))
        corrected[i] = largest
    return corrected


def _variance(sides: Sequence[np.ndarray], by_question: np.ndarray) -> tuple[float, float]:
    """Variance of the mean difference, and its degrees of freedom.

    Seeds' variance is pooled over both sides, so that one side may have a single seed.
    """
    import numpy as np

    questions = len(by_question)
    if questions == 1:
        return np.inf, 1.0  # one question says nothing about others
    of_questions = float(by_question.var(ddof=1)) / questions
    free_seeds = sum(len(side) - 1 for side in sides)
    if not free_seeds:
        return of_questions, questions - 1
    each = sum(1 / len(side) for side in sides)
    by_seed = [side.mean(axis=1, keepdims=True) for side in sides]
    spread = sum(float(((means - means.mean()) ** 2).sum()) for means in by_seed)
    of_seeds = each * spread / free_seeds
    residuals = [
        side - side.mean(axis=0) - means + side.mean() for side, means in zip(sides, by_seed, strict=True)
    ]
    left = sum(float((residual**2).sum()) for residual in residuals)
    shared = each * left / (free_seeds * (questions - 1)) / questions
    variance = max(of_questions + of_seeds - shared, of_questions, of_seeds)
    if variance == 0:
        return 0.0, 1.0
    return variance, variance**2 / (of_questions**2 / (questions - 1) + of_seeds**2 / free_seeds)


def _right(*sides: Sequence[Sequence[Prediction]]) -> list[np.ndarray]:
    """For each side who was right. Shape of each: (seeds, questions), the questions in the same order."""
    import numpy as np

    if not all(side and side[0] for side in sides):
        raise ValueError("no predictions given: a comparison needs at least one seed and one question")
    order = [prediction.question_id for prediction in sides[0][0]]
    found = []
    for side in sides:
        rows = [{prediction.question_id: prediction.correct for prediction in seed} for seed in side]
        if any(row.keys() != rows[0].keys() for row in rows):
            raise ValueError("the seeds answer different questions, so they cannot be paired")
        if rows[0].keys() != set(order):
            raise ValueError(
                "the two sets of predictions answer different questions, so they cannot be paired"
            )
        found.append(np.array([[row[question] for question in order] for row in rows], dtype=float))
    return found
