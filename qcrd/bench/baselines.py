"""Baselines of the benchmarks: the same computations with transformers' modules and padded batches.

`dss_loss` is the step of Distilling Step-by-Step's trainer, `naive_loss` a direct implementation of QCRD's
equations, and `generate` transformers' own sampling. All take T5 and decoder-only students.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import StoppingCriteria, StoppingCriteriaList

from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, choose, contrastive_loss
from qcrd.objectives.dss import StepByStep
from qcrd.objectives.qcrd import Contrastive
from qcrd.student.base import Student
from qcrd.student.causal.student import CausalStudent
from qcrd.student.t5.student import T5Student

IGNORED = -100  # label of padding

Tokens = Sequence[int]
Row = tuple[int, bool, list[int]]
"""Index of the question in the batch, whether the rationale is a positive, and its tokens."""


def dss_loss(student: Student, objective: StepByStep, batch: Sequence[int]) -> Tensor:
    """0.5 * L_pred + 0.5 * l(f(x), r) by two padded forward passes, as in DSS's TaskPrefixTrainer.

    With sequences (`student.targets`) it is l alone, by one pass.
    """
    rationales = [objective.pool.positives[i][0] for i in batch]
    explain = _pass(student, [objective.explain[i] for i in batch], rationales).mean()
    if objective.targets.sequence:
        return explain
    predict = _pass(student, [objective.predict[i] for i in batch], [objective.labels[i] for i in batch])
    return 0.5 * predict.mean() + 0.5 * explain


def naive_loss(student: Student, objective: Contrastive, batch: Sequence[int]) -> Tensor:
    """Eqs. 3-8 with a padded forward pass, with gradient, for each of the m + k rationales of a question.

    With sequences (`student.targets`) it is the contrastive loss alone.
    """
    positives = [objective.pool.positives[i] for i in batch]
    negatives = [objective.pool.negatives[i] + objective.played[i] for i in batch]
    rows = [
        [(number, kind, r) for kind, group in ((True, p), (False, n)) for r in group]
        for number, (p, n) in enumerate(zip(positives, negatives, strict=True))
    ]
    losses: list[Tensor] = []
    flat: list[Row] = []
    for rank in range(max(map(len, rows))):
        ranked = [group[rank] for group in rows if len(group) > rank]
        prompts = [objective.explain[batch[number]] for number, _, _ in ranked]
        losses.append(_pass(student, prompts, [r for _, _, r in ranked]))
        flat += ranked
    loss = torch.cat(losses)
    candidates = Candidates(
        torch.tensor([number for number, _, _ in flat], device=loss.device),
        torch.tensor([kind for _, kind, _ in flat], device=loss.device),
        len(batch),
    )
    settings, generator = objective.settings, torch.Generator().manual_seed(0)
    scheme = SCHEMES[settings.scheme]
    chosen = choose(candidates, loss, scheme, settings.delta, generator)
    weight = None
    if objective.discriminator is not None and scheme.weighted:
        selected = [flat[row] for row in chosen.row.tolist()]
        texts = [objective.discriminator_questions[batch[number]].text + r for number, _, r in selected]
        quality = objective.discriminator.model.quality(texts)
        weight = torch.where(chosen.positive, quality, 1 - quality)
    contrast, _ = contrastive_loss(
        candidates, chosen, loss[chosen.row], weight, settings.beta, settings.delta, settings.negative
    )
    if objective.targets.sequence:
        return contrast
    predict = _pass(student, [objective.predict[i] for i in batch], [objective.labels[i] for i in batch])
    return objective.alpha1 * predict.mean() + objective.alpha2 * contrast


def generate(
    student: Student,
    inputs: Sequence[Tokens],
    lengths: Sequence[int],
    temperature: float,
    batch: int,
    top_k: int | None = None,
) -> int:
    """Sample a sequence for each input with transformers' `generate`.

    Args:
        student: a T5 or decoder-only student.
        inputs: token ids of each input.
        lengths: number of tokens to generate for each input.
        temperature: of sampling.
        batch: sequences per batch.
        top_k: number of most likely tokens to sample from; None for all.

    Returns:
        Number of generated tokens.
    """
    assert isinstance(student, T5Student | CausalStudent)
    causal = isinstance(student, CausalStudent)
    training, tokens = student.training, 0
    student.eval()
    # A pretrained model would end early: a decoder-only student writes exactly `lengths`, here and in ours.
    endless = {"eos_token_id": None, "pad_token_id": 0} if causal else {}
    with _replaced(student.model.generation_config, endless):
        for start in range(0, len(inputs), batch):
            rows, ends = inputs[start : start + batch], lengths[start : start + batch]
            ids, mask = _pad(rows, 0, student.device, left=causal)
            read = ids.shape[1] if causal else 1  # T5's decoder starts with one token
            with _precision(student), torch.no_grad():
                student.model.generate(
                    input_ids=ids,
                    attention_mask=mask.long(),
                    do_sample=True,
                    temperature=temperature,
                    top_k=top_k or 0,  # 0 disables it
                    top_p=1.0,
                    num_beams=1,
                    max_new_tokens=max(ends),
                    stopping_criteria=StoppingCriteriaList([_StopAtLengths(ends, read)]),
                )
            tokens += sum(ends)
    student.train(training)
    return tokens


class _StopAtLengths(StoppingCriteria):
    """Stops each row at its own length, since a random model does not generate end of sequence."""

    def __init__(self, lengths: Sequence[int], read: int):
        self.lengths, self.read = torch.tensor(lengths), read

    def __call__(self, input_ids: Tensor, scores: Tensor, **kwargs: Any) -> Tensor:
        return (input_ids.shape[1] - self.read >= self.lengths).to(input_ids.device)


@contextmanager
def _replaced(target: object, values: dict[str, Any]) -> Iterator[None]:
    """Give an object's attributes other values for a while."""
    before = {name: getattr(target, name) for name in values}
    for name, value in values.items():
        setattr(target, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(target, name, value)


def _precision(student: T5Student | CausalStudent) -> AbstractContextManager[Any]:
    if isinstance(student, T5Student):
        return student.precision()
    return torch.autocast(student.device.type, torch.bfloat16) if student.bf16 else nullcontext()


def _pass(student: Student, inputs: Sequence[Tokens], targets: Sequence[Tokens]) -> Tensor:
    """[R] mean cross entropy per token, by one padded forward pass of the model."""
    if isinstance(student, CausalStudent):
        return _causal_pass(student, inputs, targets)
    assert isinstance(student, T5Student)
    ids, mask = _pad(inputs, 0, student.device)
    labels, target_mask = _pad(targets, 0, student.device)
    decoder_input = torch.cat([torch.full_like(labels[:, :1], student.start_id), labels[:, :-1]], 1)
    with _precision(student):
        logits = student.model(
            input_ids=ids, attention_mask=mask.long(), decoder_input_ids=decoder_input, use_cache=False
        ).logits
    return _row_means(logits, labels, target_mask)


def _causal_pass(student: CausalStudent, inputs: Sequence[Tokens], targets: Sequence[Tokens]) -> Tensor:
    """The same for a decoder-only model; each row is a prompt and its completion."""
    ids, mask = _pad([[*a, *b] for a, b in zip(inputs, targets, strict=True)], 0, student.device)
    begin = torch.tensor([len(row) for row in inputs], device=student.device)
    counted = mask & (torch.arange(ids.shape[1], device=student.device) >= begin[:, None])
    with _precision(student):
        logits = student.model(input_ids=ids, attention_mask=mask.long(), use_cache=False).logits
    return _row_means(logits[:, :-1], ids[:, 1:], counted[:, 1:])


def _row_means(logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
    """[R, T, V] logits -> [R] mean cross entropy of the counted labels."""
    labels = labels.masked_fill(~counted, IGNORED)
    nats = cross_entropy(logits.float().flatten(0, 1), labels.flatten(), reduction="none").view_as(labels)
    return nats.sum(1) / counted.sum(1)


def _pad(rows: Sequence[Tokens], pad: int, device: torch.device, left: bool = False) -> tuple[Tensor, Tensor]:
    """[R, longest] token ids, and the mask of those that are not padding."""
    lengths = torch.tensor([len(row) for row in rows])
    mask = torch.arange(int(lengths.max())) < lengths[:, None]
    if left:
        mask = mask.flip(1)
    ids = torch.full(mask.shape, pad)
    ids[mask] = torch.tensor([token for row in rows for token in row])
    return ids.to(device), mask.to(device)
