"""The many-to-one contrastive loss L_cl over a batch of questions (Eqs. 3-7)."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from qcrd.losses.scheme import Scheme


@dataclass(frozen=True, slots=True)
class Candidates:
    """The rationales of a batch, one row each, in any order."""

    question: Tensor  # [R] long: position of the question in the batch
    positive: Tensor  # [R] bool
    questions: int  # B


@dataclass(frozen=True, slots=True)
class Chosen:
    """The rationales that a scheme selected, with their coefficients in the loss."""

    row: Tensor  # [C] long: rows of the candidates with a coefficient other than 0
    coefficient: Tensor  # [C] float: coefficient of l or of the hinge, before the discriminator's weights
    positive: Tensor  # [C] bool


def hinge(loss: Tensor, delta: float) -> Tensor:
    """max(delta - l, 0) in nats per token, the loss of a negative (section 3.3.2)."""
    return (delta - loss).clamp(min=0)


def choose(
    candidates: Candidates,
    loss: Tensor | None,
    scheme: Scheme,
    delta: float,
    generator: Generator,
) -> Chosen:
    """Apply the scheme to each question's positives and to its negatives.

    Args:
        candidates: R rationales.
        loss: [R] l(f(x), r) without gradient; may be None if the scheme does not need it.
        scheme: the selection scheme.
        delta: margin of the hinge, nats per token.
        generator: CPU generator for schemes that draw.
    """
    device = candidates.question.device
    values = torch.zeros(len(candidates.question), device=device) if loss is None else loss.detach().float()
    coefficient = torch.zeros_like(values)
    for positive, side in ((True, scheme.positives), (False, scheme.negatives)):
        rows = torch.nonzero(candidates.positive == positive).squeeze(1)
        value = values[rows] if positive else hinge(values[rows], delta)
        padded, mask, slot = _pad(value, candidates.question[rows], candidates.questions)
        coefficient[rows] = side(padded, mask, generator)[slot].to(coefficient.dtype)
    row = torch.nonzero(coefficient).squeeze(1)
    return Chosen(row, coefficient[row], candidates.positive[row])


def contrastive_loss(
    candidates: Candidates,
    chosen: Chosen,
    loss: Tensor,
    weight: Tensor | None,
    beta: float,
    delta: float,
    negative: Literal["hinge", "printed"] = "hinge",
) -> tuple[Tensor, dict[str, Tensor]]:
    """L_cl = mean over questions of L+ + beta * H (Eq. 3 with the sign of the hinge corrected, see SPEC).

    Questions without a positive are excluded, also from the mean's denominator.

    Args:
        candidates: R rationales of B questions.
        chosen: the result of `choose`, C rationales.
        loss: [C] l(f(x), r) of the chosen, with gradient.
        weight: [C] s for positives and 1 - s for negatives (Eqs. 6, 7); None without a discriminator.
        beta: weight of the negatives.
        delta: margin, nats per token.
        negative: "hinge" adds beta * H, "printed" subtracts it as Eq. 3 is printed.

    Returns:
        The scalar loss, and its parts for logging: positive and hinge (means per question).
    """
    question = candidates.question[chosen.row]
    has_positive = torch.zeros(candidates.questions, dtype=torch.bool, device=loss.device)
    has_positive[candidates.question[candidates.positive]] = True
    count = has_positive.sum().clamp(min=1)

    gap = hinge(loss, delta)
    term = torch.where(chosen.positive, loss, gap) * chosen.coefficient
    if weight is not None:
        term = term * weight
    term = term * has_positive[question]
    positive = (term * chosen.positive).sum() / count
    push = (term * ~chosen.positive).sum() / count
    sign = 1.0 if negative == "hinge" else -1.0
    return positive + sign * beta * push, {"positive": positive.detach(), "hinge": push.detach()}


def _pad(values: Tensor, question: Tensor, questions: int) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
    """[R] -> ([B, M], mask [B, M], (row, column) of each value)."""
    order = torch.argsort(question, stable=True)
    count = torch.bincount(question, minlength=questions)
    start = torch.cumsum(count, 0) - count
    column = torch.empty_like(question)
    column[order] = torch.arange(len(question), device=question.device) - start[question[order]]
    width = max(int(count.max()) if len(question) else 0, 1)
    padded = values.new_zeros(questions, width)
    mask = torch.zeros(questions, width, dtype=torch.bool, device=values.device)
    padded[question, column] = values
    mask[question, column] = True
    return padded, mask, (question, column)
