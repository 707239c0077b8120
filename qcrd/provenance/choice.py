"""A question's rationales as the cell weighed them: recomputed with the models that are still there.

A training chooses anew in each step, by the student of that step, and by a discriminator that is updated
along the way. Neither is kept. What is kept is the student of the chosen step and the discriminator as it
was after pretraining, and everything here is theirs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from qcrd.cell.discriminator import new_discriminator
from qcrd.cell.finished import kept_student
from qcrd.cell.resolved import ResolvedCell
from qcrd.hub.token_ids import tokenise
from qcrd.objectives.base import weighing
from qcrd.objectives.targets import RationaleTargets
from qcrd.provenance.candidate import Candidate
from qcrd.provenance.selected import fates
from qcrd.storage import tensors
from qcrd.student.tokenizer import load_tokenizer
from qcrd.student.weights import set_weights
from qcrd.types import Question


def weighed(
    cell: ResolvedCell,
    student: Path | None,
    discriminator: Path | None,
    question: Question,
    label: str | None,
    rationales: Sequence[tuple[str, bool, int]],
    labels: Sequence[str | None],
) -> list[Candidate]:
    """What each distinct rationale of a training question counts.

    Args:
        cell: whose method and settings count.
        student: folder of its student; None for none.
        discriminator: weights of its pretrained discriminator; None for none.
        question: a training question.
        label: that is trained on.
        rationales: text, whether it is a positive, and number of the draw; positives first.
        labels: that each of them ends with in a sequence; None where that cannot be said.

    Returns:
        Positives, then negatives, in the order in which they were drawn.
    """
    texts = [text for text, *_ in rationales]
    positive = [kind for _, kind, _ in rationales]
    loss = quality = None
    if texts and discriminator is not None:
        quality = _qualities(cell, discriminator, question, texts).tolist()
    section, fate = cell.selection, None
    if texts and section is not None and label is not None:
        fate = fates(cell, section, student, question, label, rationales)
    side = [f.side for f in fate] if fate else positive
    if texts and student is not None and cell.method.explains:
        loss = _losses(cell, student, question, texts, labels, side)
    known = fate is not None or section is None
    share = weighing(cell.method.builder()).shares(cell.settings, side, loss) if known else None
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
            fate[rows[0]].difficulty if fate else None,
            fate[rows[0]].why if fate and all(fate[row].side is None for row in rows) else "",
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
    student, lengths = kept_student(cell, folder).eval(), cell.settings.student
    targets = RationaleTargets.made(student, cell.task, cell.method.written(lengths) == "sequence", lengths)
    encoded = student.read(student.prompts(targets.kind, [question.text], lengths.max_input))
    rows, weights = targets.tokens(texts, labels), None
    sides = [[n for n, kind in enumerate(side) if kind is wanted] for wanted in (True, False)]
    objective = weighing(cell.method.builder())
    of_sides = objective.token_weights(cell.settings, *([rows[n] for n in group] for group in sides))
    if of_sides is not None:
        marked = dict(zip([*sides[0], *sides[1]], of_sides, strict=True))
        weights = [marked.get(n) for n in range(len(rows))]
    return student.cross_entropy(encoded, [0] * len(texts), rows, weights).cpu()


def _qualities(cell: ResolvedCell, path: Path, question: Question, texts: Sequence[str]) -> Tensor:
    lengths = cell.settings.student
    discriminator, tokenizer = new_discriminator(cell), load_tokenizer(lengths)
    set_weights(discriminator, tensors.load(path)[0])
    asked = tokenise(tokenizer, [question.text], lengths.max_input)[0]
    return discriminator.quality([asked + r for r in tokenise(tokenizer, texts, lengths.max_rationale)]).cpu()
