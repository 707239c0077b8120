"""Recomputes how a method chose and weighted a question's rationales, with the models that were kept.

In training, each step chooses with the current student and discriminator, which are not kept. The values
here are those of the student of the chosen step and of the discriminator after pretraining.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from qcrd.cell.discriminator import new_discriminator
from qcrd.cell.finished import kept_student
from qcrd.cell.resolved import ResolvedCell
from qcrd.discriminator.tokenizer import question_ids, rationale_ids
from qcrd.objectives.base import weighing
from qcrd.objectives.targets import RationaleTargets
from qcrd.provenance.candidate import Candidate
from qcrd.provenance.selected import selected
from qcrd.storage import tensors
from qcrd.student.weights import set_weights
from qcrd.types import Question


def weighted_candidates(
    cell: ResolvedCell,
    student: Path | None,
    discriminator: Path | None,
    question: Question,
    label: str | None,
    rationales: Sequence[tuple[str, bool, int]],
    labels: Sequence[str | None],
) -> list[Candidate]:
    """Loss, quality, difficulty and share of the loss of each distinct rationale of a training question.

    Args:
        cell: the cell.
        student: folder of its student; None for none.
        discriminator: weights of its pretrained discriminator; None for none.
        question: the training question.
        label: training label; None if the question was left out.
        rationales: text, whether it is a positive, and number of the draw; positives first.
        labels: final label of each rationale in a sequence target; None if unknown.

    Returns:
        Positives, then negatives, in the order of the draws.
    """
    texts = [text for text, *_ in rationales]
    positive = [kind for _, kind, _ in rationales]
    loss = quality = None
    if texts and discriminator is not None:
        quality = _qualities(cell, discriminator, question, texts).tolist()
    section, selections = cell.selection, None
    if texts and section is not None and label is not None:
        selections = selected(cell, section, student, question, label, rationales)
    side = [selection.side for selection in selections] if selections else positive
    if texts and student is not None and cell.method.explains:
        loss = _losses(cell, student, question, texts, labels, side)
    reproducible = selections is not None or section is None
    share = weighing(cell.method.builder()).shares(cell.settings, side, loss) if reproducible else None
    distinct: dict[tuple[str, bool], list[int]] = {}
    for row, (text, kind, _) in enumerate(rationales):
        distinct.setdefault((text, kind), []).append(row)
    return [
        Candidate(
            text,
            kind,
            tuple(rationales[row][2] for row in rows),
            loss[rows[0]].item() if loss is not None else None,
            quality[rows[0]] if quality is not None else None,
            selections[rows[0]].difficulty if selections else None,
            selections[rows[0]].reason
            if selections and all(selections[row].side is None for row in rows)
            else "",
            sum(share[row] for row in rows) if share is not None else None,
        )
        for (text, kind), rows in distinct.items()
    ]


@torch.no_grad()
def _losses(
    cell: ResolvedCell,
    folder: Path,
    question: Question,
    texts: Sequence[str],
    labels: Sequence[str | None],
    side: Sequence[bool | None],
) -> Tensor:
    """[R] losses l of the rationales under the kept student."""
    student, lengths = kept_student(cell, folder).eval(), cell.settings.student
    targets = RationaleTargets.made(student, cell.task, cell.method.written(lengths) == "sequence", lengths)
    encoded = student.read(student.prompts(targets.kind, [question.text], lengths.max_input))
    rows, weights = targets.tokens(texts, labels), None
    sides = [[n for n, kind in enumerate(side) if kind is wanted] for wanted in (True, False)]
    objective = weighing(cell.method.builder())
    of_sides = objective.token_weights(cell.settings, *([rows[n] for n in group] for group in sides))
    if of_sides is not None:
        weight_of_row = dict(zip([*sides[0], *sides[1]], of_sides, strict=True))
        weights = [weight_of_row.get(n) for n in range(len(rows))]
    return student.cross_entropy(encoded, [0] * len(texts), rows, weights).cpu()


def _qualities(cell: ResolvedCell, path: Path, question: Question, texts: Sequence[str]) -> Tensor:
    """[R] qualities s of the rationales by the pretrained discriminator."""
    lengths = cell.settings.student
    discriminator = new_discriminator(cell)
    set_weights(discriminator, tensors.load(path)[0])
    prompt = question_ids(discriminator.tokenizer, [question.text], lengths.max_input)[0]
    rationales = rationale_ids(discriminator.tokenizer, texts, lengths.max_rationale)
    return discriminator.quality([prompt + rationale for rationale in rationales]).cpu()
