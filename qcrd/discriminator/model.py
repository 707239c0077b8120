"""D, the discriminator of rationales: an encoder with two linear layers (section 3.3.1, appendix A.2)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from qcrd.discriminator.encoders.base import Encoder

MOMENTUM = 0.9  # of the running midpoint


class Discriminator(nn.Module):
    """Question and rationale in, quality out.

    The raw score g is unbounded and the bounded loss does not fix its level, so that weights are
    s = sigmoid(a (g - c)). Without calibration a is 1 and c a running midpoint between the mean scores of
    positives and of negatives in training; see `calibrate`.

    Attributes:
        tokenizer: of the questions and rationales that it reads.
        commit: the Hub's commit that the encoder was loaded from; None for a folder or random weights.
    """

    def __init__(
        self, encoder: Encoder, tokenizer: PreTrainedTokenizerBase, bf16: bool, commit: str | None = None
    ):
        super().__init__()
        self.tokenizer = tokenizer
        self.commit = commit
        width = encoder.width
        self.encoder = encoder.model
        self.hidden = nn.Linear(width, width)
        self.out = nn.Linear(width, 1)
        self.register_buffer("center", torch.zeros(()))
        self.register_buffer("centered", torch.zeros((), dtype=torch.bool))
        self.register_buffer("scale", torch.ones(()))
        self.bf16 = bf16
        self.pooled = encoder.pooled

    def forward(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Raw scores g [R] of R token sequences `question </s> rationale </s>`."""
        with torch.autocast(self.center.device.type, torch.bfloat16, enabled=self.bf16):
            pooled = self.pooled(rows)
            return self.out(torch.tanh(self.hidden(pooled))).squeeze(1).float()

    def quality(self, rows: Sequence[Sequence[int]], batch: int = 256) -> Tensor:
        """s in [0, 1] of R sequences, without gradient."""
        return self.weigh(self.score(rows, batch))

    def weigh(self, score: Tensor) -> Tensor:
        """s of raw scores."""
        return torch.sigmoid(self.scale * (score - self.center))

    @torch.no_grad()
    def score(self, rows: Sequence[Sequence[int]], batch: int = 256) -> Tensor:
        """Raw scores g [R], without gradient and dropout, `batch` sequences of like lengths at a time."""
        if not rows:
            return torch.zeros(0, device=self.center.device)
        self.eval()
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
        scores = torch.empty(len(rows), device=self.center.device)
        for start in range(0, len(order), batch):
            chunk = order[start : start + batch]
            scores[chunk] = self([rows[i] for i in chunk])
        return scores

    @torch.no_grad()
    def recenter(self, score: Tensor, positive: Tensor) -> None:
        """Move c towards the midpoint of this batch's mean scores; needs both kinds in it."""
        if not (positive.any() and (~positive).any()):
            return
        midpoint = (score[positive].mean() + score[~positive].mean()) / 2
        if self.centered:
            midpoint = MOMENTUM * self.center + (1 - MOMENTUM) * midpoint
        self.center.copy_(midpoint)
        self.centered.fill_(True)

    @torch.no_grad()
    def calibrate(self, score: Tensor, positive: Tensor) -> None:
        """Make s the chance that a rationale of this score is a positive where both kinds are as common.

        In training the midpoint lies between positives and all negatives, of which the augmented and the
        student's are easy, so that the teacher's come to lie on the positives' side of it; and scores of what
        was trained on are too sure of themselves.

        Args:
            score: [R] raw scores of rationales that were not trained on.
            positive: [R] bool; both kinds are among them.
        """
        slope, offset = platt(score, positive)
        self.scale.fill_(slope)
        self.center.fill_(-offset / slope if slope else 0.0)


def platt(score: Tensor, positive: Tensor, rounds: int = 50) -> tuple[float, float]:
    """Platt's scaling (1999): the likeliest slope a and offset b of sigmoid(a g + b), by Newton's method.

    Both kinds count alike, whatever their numbers, and targets are his, a little within 0 and 1, so that the
    slope stays finite where scores part the kinds. Scores that rank the wrong way round get (0, 0).

    Args:
        score: [R].
        positive: [R] bool; both kinds are among them.
        rounds: at most, of Newton's method.
    """
    g, positive = score.double().cpu(), positive.cpu()
    ups, downs = int(positive.sum()), int((~positive).sum())
    center, spread = g.mean(), g.std(correction=0).clamp(min=1e-9)
    x = torch.stack([(g - center) / spread, torch.ones_like(g)], dim=1)
    target = torch.where(positive, (ups + 1) / (ups + 2), 1 / (downs + 2)).double()
    weight = torch.where(positive, 1 / ups, 1 / downs).double()
    found = torch.zeros(2, dtype=torch.double)
    for _ in range(rounds):
        p = torch.sigmoid(x @ found)
        slope = x.T @ (weight * (target - p))
        curve = (x * (weight * p * (1 - p))[:, None]).T @ x + 1e-9 * torch.eye(2, dtype=torch.double)
        step = torch.linalg.solve(curve, slope).clamp(-2, 2)
        found = found + step
        if float(step.abs().max()) < 1e-9:
            break
    a, b = (found[0] / spread).item(), (found[1] - found[0] * center / spread).item()
    return (a, b) if a > 0 else (0.0, 0.0)


def within_question_auc(score: Tensor, positive: Tensor, question: Tensor) -> float:
    """Share of a question's (positive, negative) pairs that are ranked rightly, ties half; NaN without pairs.

    What matters to the weights is the order among rationales of the same question; across questions
    a discriminator can look good by knowing easy questions.
    """
    same = question[:, None] == question[None, :]
    pairs = same & positive[:, None] & ~positive[None, :]
    if not bool(pairs.any()):
        return float("nan")
    difference = (score[:, None] - score[None, :])[pairs]
    return float(((difference > 0).float() + 0.5 * (difference == 0).float()).mean())
