"""The same computations as others write them: transformers' modules, padded batches, a pass per sequence.

`distil` is the step of Distilling Step-by-Step's trainer, `naive` is QCRD's equations written down, and
`write` is transformers' own sampling.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import StoppingCriteria, StoppingCriteriaList

from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, choose, contrastive_loss
from qcrd.objectives.qcrd import Contrastive
from qcrd.student.t5.student import T5Student

IGNORED = -100

Tokens = Sequence[int]
Row = tuple[int, bool, list[int]]
"""Position of the question in the batch, whether it is a positive, and the rationale's tokens."""


def distil(student: T5Student, objective, batch: Sequence[int]) -> Tensor:
    """0.5 * L_pred + 0.5 * l(f(x), r): two padded forward passes, as DSS's TaskPrefixTrainer."""
    rationales = [objective.pool.positives[i][0] for i in batch]
    predict = _pass(student, [objective.predict[i] for i in batch], [objective.labels[i] for i in batch])
    explain = _pass(student, [objective.explain[i] for i in batch], rationales)
    return 0.5 * predict.mean() + 0.5 * explain.mean()


def naive(student: T5Student, objective: Contrastive, batch: Sequence[int]) -> Tensor:
    """Eqs. 3-8 with a padded pass of encoder and decoder, with gradient, for each of the m + k rationales."""
    predict = _pass(student, [objective.predict[i] for i in batch], [objective.labels[i] for i in batch])
    positives = [objective.pool.positives[i] for i in batch]
    negatives = [objective.pool.negatives[i] + objective.played[i] for i in batch]
    rows = [
        [(number, kind, r) for kind, group in ((True, p), (False, n)) for r in group]
        for number, (p, n) in enumerate(zip(positives, negatives, strict=True))
    ]
    found, place = [], []
    for turn in range(max(map(len, rows))):
        here = [group[turn] for group in rows if len(group) > turn]
        asked = [objective.explain[batch[number]] for number, _, _ in here]
        found.append(_pass(student, asked, [r for _, _, r in here]))
        place += [(number, kind) for number, kind, _ in here]
    loss = torch.cat(found)
    candidates = Candidates(
        torch.tensor([number for number, _ in place], device=loss.device),
        torch.tensor([kind for _, kind in place], device=loss.device),
        len(batch),
    )
    settings, generator = objective.settings, torch.Generator().manual_seed(0)
    scheme = SCHEMES[settings.scheme]
    chosen = choose(candidates, loss, scheme, settings.delta, generator)
    weight = None
    if objective.discriminator is not None and scheme.weighted:
        flat = [here for turn in range(max(map(len, rows))) for here in _turn(rows, turn)]
        taken = [flat[row] for row in chosen.row.tolist()]
        rated = [objective.discriminator_questions[batch[number]].text + r for number, _, r in taken]
        quality = objective.discriminator.model.quality(rated)
        weight = torch.where(chosen.positive, quality, 1 - quality)
    contrast, _ = contrastive_loss(
        candidates, chosen, loss[chosen.row], weight, settings.beta, settings.delta, settings.negative
    )
    return objective.alpha1 * predict.mean() + objective.alpha2 * contrast


def write(
    student: T5Student,
    inputs: Sequence[Tokens],
    limits: Sequence[int],
    temperature: float,
    batch: int,
    top_k: int | None = None,
) -> int:
    """Sample a sequence for each input with transformers' `generate`; returns the number of tokens."""
    training, tokens = student.training, 0
    student.eval()
    for start in range(0, len(inputs), batch):
        rows, ends = inputs[start : start + batch], limits[start : start + batch]
        ids, mask = _pad(rows, 0, student.device)
        with student.precision(), torch.no_grad():
            student.model.generate(
                input_ids=ids,
                attention_mask=mask.long(),
                do_sample=True,
                temperature=temperature,
                top_k=top_k or 0,  # 0 is all
                top_p=1.0,
                num_beams=1,
                max_new_tokens=max(ends),
                stopping_criteria=StoppingCriteriaList([_Ends(ends)]),
            )
        tokens += sum(ends)
    student.train(training)
    return tokens


class _Ends(StoppingCriteria):
    """Ends each row at a length of its own, since a random model does not end by itself."""

    def __init__(self, ends: Sequence[int]):
        self.ends = torch.tensor(ends)

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs) -> Tensor:
        return (input_ids.shape[1] - 1 >= self.ends).to(input_ids.device)


def _turn(rows: Sequence[Sequence[Row]], turn: int) -> list[Row]:
    return [group[turn] for group in rows if len(group) > turn]


def _pass(student: T5Student, inputs: Sequence[Tokens], targets: Sequence[Tokens]) -> Tensor:
    """[R] token-mean cross entropy, by one padded pass of the whole model."""
    ids, mask = _pad(inputs, 0, student.device)
    labels, real = _pad(targets, 0, student.device)
    read = torch.cat([torch.full_like(labels[:, :1], student.start_id), labels[:, :-1]], 1)
    labels = labels.masked_fill(~real, IGNORED)
    with student.precision():
        logits = student.model(
            input_ids=ids, attention_mask=mask.long(), decoder_input_ids=read, use_cache=False
        ).logits
    nats = cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    return nats.sum(1) / real.sum(1)


def _pad(rows: Sequence[Tokens], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    ids = torch.full(mask.shape, pad)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return ids.to(device), mask.to(device)
