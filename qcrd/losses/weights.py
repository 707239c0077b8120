"""Weights of the contrastive loss from the discriminator's scores (Eqs. 6, 7), and two controls."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Generator, Tensor


def weigh(
    quality: Tensor,
    positive: Tensor,
    acts: Tensor,
    form: Literal["judged", "mean_one", "shuffled"],
    generator: Generator,
) -> Tensor:
    """Compute the weights of a batch's chosen rationales.

    Args:
        quality: [C] s, in [0, 1].
        positive: [C] bool.
        acts: [C] bool: whether the loss depends on the rationale; False for negatives beyond the margin.
        form: "judged": s for positives, 1 - s for negatives. "mean_one": the same, divided by the mean over
            the acting positives, or over the acting negatives, so that the weights rank rationales without
            scaling the loss and beta; 1 if that mean is 0. "shuffled": the weights permuted among the
            acting positives and among the acting negatives, which keeps their scale and spread.
        generator: on the CPU, for "shuffled".

    Returns:
        [C] weights.
    """
    weight = torch.where(positive, quality, 1 - quality)
    if form == "judged":
        return weight
    for kind in (positive & acts, ~positive & acts):
        rows = torch.nonzero(kind).squeeze(1)
        if form == "shuffled":
            # Drawn on the CPU so that a seed gives the same result on every device.
            order = torch.randperm(len(rows), generator=generator).to(rows.device)
            weight = weight.index_copy(0, rows, weight[rows[order]])
        elif len(rows):
            mean = weight[rows].mean()
            scaled = torch.where(mean > 0, weight[rows] / mean, 1.0)
            weight = weight.index_copy(0, rows, scaled)
    return weight


class Weighed:
    """Accumulates mean weights by source over a training run, and the effective beta."""

    def __init__(self, device: torch.device):
        self.totals = torch.zeros(3, 2, dtype=torch.double, device=device)  # sum and count of each source

    def __call__(self, weight: Tensor, positive: Tensor, played: Tensor, beta: float) -> dict[str, Tensor]:
        """Add a batch's chosen rationales; returns the batch's means, NaN for sources without rationales.

        Args:
            weight: [C].
            positive: [C] bool.
            played: [C] bool: whether it is a self-play negative.
            beta: weight of the negatives.
        """
        kinds = torch.stack([positive, ~positive & ~played, played]).double()
        now = torch.stack([kinds @ weight.double(), kinds.sum(1)], dim=1)
        self.totals += now
        return self._means(now, beta)

    def figures(self, beta: float) -> dict[str, float]:
        """Means over all batches so far, without those that are NaN."""
        means = {name: float(value) for name, value in self._means(self.totals, beta).items()}
        return {name: value for name, value in means.items() if value == value}

    def _means(self, totals: Tensor, beta: float) -> dict[str, Tensor]:
        positive, teacher, selfplay = totals[:, 0] / totals[:, 1]
        negative = totals[1:, 0].sum() / totals[1:, 1].sum()
        return {
            "weight/positive": positive,
            "weight/negative": negative,
            "weight/teacher": teacher,
            "weight/selfplay": selfplay,
            "weight/effective_beta": beta * negative / positive,
        }
