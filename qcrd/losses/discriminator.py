"""L_D, the loss of the discriminator (Eq. 2)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import softplus


def discriminator_loss(
    score: Tensor,
    positive: Tensor,
    question: Tensor,
    questions: int,
    form: Literal["bounded", "printed", "bce"] = "bounded",
) -> Tensor:
    """-log of the share of exp-scores that the positives hold, averaged over questions that have both kinds.

    Or, of the same questions, binary cross entropy.

    Args:
        score: [R] raw scores g.
        positive: [R] bool.
        question: [R] position of the question in the batch.
        questions: B.
        form: "bounded" puts positives and negatives below the line, so that the loss is at least 0;
            "printed" puts the negatives alone there (Eq. 2), which has no lower bound. "bce" is
            half the mean of -log sigmoid(g) over a question's positives, and half that of -log sigmoid(-g)
            over its negatives.

    Returns:
        Scalar in nats; 0 (with gradient 0) where no question has both kinds.
    """
    score = score.float()
    if form == "bce":
        return _binary(score, positive, question, questions)
    upper = _segment_logsumexp(score, positive, question, questions)
    below = torch.ones_like(positive) if form == "bounded" else ~positive
    lower = _segment_logsumexp(score, below, question, questions)
    has = [
        torch.zeros(questions, dtype=torch.bool, device=score.device).index_fill(0, question[kind], True)
        for kind in (positive, ~positive)
    ]
    both = has[0] & has[1]
    if not bool(both.any()):
        return (score * 0).sum()
    return (lower - upper)[both].mean()


def _binary(score: Tensor, positive: Tensor, question: Tensor, questions: int) -> Tensor:
    each = softplus(torch.where(positive, -score, score))
    counts = torch.zeros(2, questions, device=score.device)
    counts = counts.index_put((positive.long(), question), torch.ones_like(each), accumulate=True)
    both = (counts > 0).all(0)
    weight = both[question] / (2 * counts[positive.long(), question])
    return (each * weight).sum() / both.sum().clamp(min=1)


def _segment_logsumexp(score: Tensor, keep: Tensor, question: Tensor, questions: int) -> Tensor:
    """[R] -> [B]: log of the sum of exp over a question's kept rows; -inf where there are none."""
    row = question[keep]
    value = score[keep]
    peak = torch.full((questions,), -torch.inf, device=score.device)
    peak = peak.scatter_reduce(0, row, value.detach(), "amax")
    safe = peak.nan_to_num(neginf=0.0)
    total = torch.zeros(questions, device=score.device).index_add(0, row, (value - safe[row]).exp())
    # log(0) would send NaN through the gradient of questions that the caller leaves out.
    return torch.where(total > 0, total.clamp(min=torch.finfo(total.dtype).tiny).log() + safe, -torch.inf)
