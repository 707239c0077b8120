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
    """-log(sum of exp(g) over positives / denominator), averaged over questions with positives and negatives.

    Args:
        score: [R] raw scores g.
        positive: [R] bool.
        question: [R] position of the question in the batch.
        questions: B.
        form: "bounded": the denominator sums over positives and negatives, so that the loss is at least 0.
            "printed": it sums over negatives only (Eq. 2), which has no lower bound. "bce": binary cross
            entropy instead, half the mean of -log sigmoid(g) over a question's positives plus half the mean
            of -log sigmoid(-g) over its negatives.

    Returns:
        Scalar in nats; 0 (with gradient 0) if no question has both positives and negatives.
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
    """[R] -> [B]: logsumexp over each question's rows with `keep`; -inf for questions without any."""
    row = question[keep]
    value = score[keep]
    peak = torch.full((questions,), -torch.inf, device=score.device)
    peak = peak.scatter_reduce(0, row, value.detach(), "amax")
    safe = peak.nan_to_num(neginf=0.0)
    total = torch.zeros(questions, device=score.device).index_add(0, row, (value - safe[row]).exp())
    # log(0) would give NaN gradients, even for questions that the caller excludes.
    return torch.where(total > 0, total.clamp(min=torch.finfo(total.dtype).tiny).log() + safe, -torch.inf)
