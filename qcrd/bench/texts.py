"""Random questions and rationales with SVAMP's lengths, and objectives over them.

Time depends on the shape of the model, the lengths of the texts and the number of correct rationales, not on
the content of the texts, so their words are random.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from qcrd import config, tasks
from qcrd.discriminator.questions import DiscriminatorQuestion
from qcrd.discriminator.trainer import DiscriminatorTrainer
from qcrd.methods import METHODS
from qcrd.objectives.base import Ingredients, Objective
from qcrd.student.base import Student
from qcrd.types import Question, RationaleSet

ACCURACY = 0.8  # of the teacher's answers, as recorded on SVAMP
ACTIVE_DELTA = 100.0  # nats per token: a margin above a random student's loss for any rationale
MAX_RATIONALE = 133  # tokens of the longest recorded rationale on SVAMP


@dataclass(frozen=True, slots=True)
class Lengths:
    """Distributions of lengths in T5 tokens (with end of sequence) on SVAMP and its recorded answers."""

    question: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(43, 10), 25), 85))
    rationale: Callable[[random.Random], int] = lambda r: round(
        min(max(r.gammavariate(3.3, 11.8), 4), MAX_RATIONALE)
    )
    label: Callable[[random.Random], int] = lambda r: round(min(max(r.gauss(11.4, 2.8), 6), 19))


@dataclass(frozen=True, slots=True)
class Texts:
    """Questions with their rationales; every word is one token."""

    questions: list[Question]
    sets: list[RationaleSet]
    selfplay_lengths: list[int]  # tokens of each self-play rationale, k per question
    m: int  # teacher rationales per question
    k: int  # self-play rationales per question

    @classmethod
    def draw(cls, words: Sequence[str], questions: int, m: int, k: int, seed: int = 0) -> Texts:
        """Draw random texts. The first answer to each question is correct, so no question drops out.

        Args:
            words: each is one token of the student's.
            questions: number of questions.
            m: teacher rationales per question.
            k: self-play rationales per question.
            seed: random seed of lengths and words.
        """
        generator, lengths = random.Random(seed), Lengths()

        def text(tokens: int) -> str:
            return " ".join(generator.choices(words, k=max(tokens - 1, 1)))

        drawn, sets = [], []
        for number in range(questions):
            # A question's length includes the two tokens of T5's prefix.
            drawn.append(
                Question(str(number), text(lengths.question(generator) - 2), text(lengths.label(generator)))
            )
            rationales = [text(lengths.rationale(generator)) for _ in range(m)]
            correct = [n == 0 or generator.random() < ACCURACY for n in range(m)]
            negatives = tuple(r for r, ok in zip(rationales, correct, strict=True) if not ok)
            other_label = " ".join(reversed(drawn[-1].label.split()))  # wrong, and of the same length
            sets.append(
                RationaleSet(
                    drawn[-1].id,
                    drawn[-1].label,
                    tuple(r for r, ok in zip(rationales, correct, strict=True) if ok),
                    negatives,
                    negative_labels=(other_label,) * len(negatives),
                )
            )
        selfplay_lengths = [lengths.rationale(generator) for _ in range(questions * k)]
        return cls(drawn, sets, selfplay_lengths, m, k)

    def objective(
        self,
        method: str,
        student: Student,
        lengths: config.Student,
        scheme: str,
        delta: float,
        discriminator: DiscriminatorTrainer | None = None,
        discriminator_questions: Sequence[DiscriminatorQuestion] = (),
    ) -> Objective:
        """A method's objective over all questions, with default settings except for these.

        Args:
            method: name of the method.
            student: the student.
            lengths: its limits and targets.
            scheme: scheme of QCRD.
            delta: margin, nats per token.
            discriminator: what weights rationales; None weights none.
            discriminator_questions: one per question where there is a discriminator.
        """
        # DSS in sequences is Single-Task on the chosen rationale: what supervised fine-tuning does.
        written = "sequence" if lengths.targets == "sequence" else METHODS[method].written(lengths)
        objective: Objective = METHODS[method].objective(
            Ingredients(
                student=student,
                task=tasks.get("arithmetic"),
                questions=self.questions,
                sets=self.sets,
                training=config.Training(),
                lengths=lengths,
                selection=METHODS[method].selection(config.Selection()),
                measurer=None,
                contrastive=config.Contrastive(scheme=scheme, delta=delta),
                selfplay=config.SelfPlay(k=self.k),
                edit=config.Edit(),
                discriminator=discriminator,
                discriminator_questions=discriminator_questions,
                seed=0,
                written=written,
            )
        )
        return objective
