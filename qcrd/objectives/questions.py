"""A training question as tokens, and the rationales of a step's questions in rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from qcrd.losses.contrastive import Candidates
from qcrd.objectives.tally import SELFPLAY, TEACHER
from qcrd.rationales.dual import key_weights

Tokens = list[int]


@dataclass(frozen=True, slots=True)
class TrainingQuestion:
    """What one question brings to a step of QCRD. Completions have their end-of-sequence token."""

    number: int  # among the training questions
    predict: Tokens  # prompt for the label
    explain: Tokens  # prompt for a rationale
    label: Tokens
    positives: list[Tokens]
    negatives: list[Tokens]  # the teacher's
    played: list[Tokens]  # negatives of self-play


@dataclass(frozen=True, slots=True)
class RationaleRows:
    """R rationales of some questions: each question's positives, its teacher's negatives, its self-play."""

    tokens: list[Tokens]  # [R]
    weights: list[list[float]]  # [R] of each one's tokens in l; empty where all count alike
    candidates: Candidates
    origin: Tensor  # [R] long: TEACHER or SELFPLAY
    question: list[int]  # [R] position of the question, as in `candidates`

    @classmethod
    def of(
        cls, questions: Sequence[TrainingQuestion], key_weight: float, device: torch.device
    ) -> RationaleRows:
        """All rationales; tokens that set a question's two sides apart weigh `key_weight`."""
        tokens: list[Tokens] = []
        weights: list[list[float]] = []
        question, positive, origin = [], [], []
        for position, q in enumerate(questions):
            wrong = q.negatives + q.played
            tokens += q.positives + wrong
            question += [position] * (len(q.positives) + len(wrong))
            positive += [True] * len(q.positives) + [False] * len(wrong)
            origin += [TEACHER] * (len(q.positives) + len(q.negatives)) + [SELFPLAY] * len(q.played)
            weights += token_weights(q.positives, wrong, key_weight) or []
        candidates = Candidates(
            torch.tensor(question, dtype=torch.long, device=device),
            torch.tensor(positive, dtype=torch.bool, device=device),
            len(questions),
        )
        rows = torch.tensor(origin, dtype=torch.long, device=device)
        return cls(tokens, weights or [[] for _ in tokens], candidates, rows, question)


def token_weights(
    positives: Sequence[Sequence[int]], negatives: Sequence[Sequence[int]], key_weight: float
) -> list[list[float]] | None:
    """How much each token counts in l of a question's positives, then negatives; None is all alike."""
    return key_weights(positives, negatives, key_weight) if key_weight != 1 else None


@dataclass(frozen=True, slots=True)
class Passes:
    """The completions that go through the student: B labels, then the U distinct rationales of each question.

    Equal rationales of a question (doubles among its samples) are one completion.
    """

    source: list[int]  # [B + U] the prompt of each: B for labels, then one for each question with rationales
    completions: list[Tokens]  # [B + U]
    weights: list[list[float] | None] | None  # [B + U] of their tokens; None counts all alike
    of_row: list[int]  # [R] the completion of each rationale
    labels: int  # B

    @classmethod
    def of(cls, labels: Sequence[Tokens], rows: RationaleRows) -> Passes:
        """Completions of a batch with these labels and rationales."""
        distinct: dict[tuple[int, tuple[int, ...], tuple[float, ...]], int] = {}
        size = len(labels)
        of_row = [
            distinct.setdefault((n, tuple(r), tuple(w)), size + len(distinct))
            for n, r, w in zip(rows.question, rows.tokens, rows.weights, strict=True)
        ]
        weights: list[list[float] | None] = [
            *(None for _ in labels),
            *(list(w) or None for *_, w in distinct),
        ]
        return cls(
            [*range(size), *(size + n for n, *_ in distinct)],
            [*labels, *(list(tokens) for _, tokens, _ in distinct)],
            weights if any(rows.weights) else None,
            of_row,
            size,
        )

    def some(self, wanted: Sequence[int]) -> tuple[list[int], list[Tokens], list[list[float] | None] | None]:
        """Source, completions and weights of the completions with these numbers."""
        return (
            [self.source[w] for w in wanted],
            [self.completions[w] for w in wanted],
            None if self.weights is None else [self.weights[w] for w in wanted],
        )

    def differentiated(self, rows: Sequence[int]) -> tuple[list[int], list[int]]:
        """What needs a gradient where these C rationales count: all labels, and each rationale once.

        Returns:
            [B + D] numbers of completions, and for each of the C rationales its place among them.
        """
        place = {
            completion: n
            for n, completion in enumerate(dict.fromkeys(self.of_row[r] for r in rows), self.labels)
        }
        return [*range(self.labels), *place], [place[self.of_row[r]] for r in rows]
