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
from qcrd.losses import SCHEMES
from qcrd.losses.contrastive import Candidates, choose
from qcrd.losses.scheme import Scheme, one_at_random
from qcrd.provenance.candidate import Candidate
from qcrd.provenance.selected import fates
from qcrd.rationales.dual import key_weights
from qcrd.storage import tensors
from qcrd.student.tokenizer import load_tokenizer
from qcrd.student.weights import set_weights
from qcrd.types import Question


def weighed(
    cell: ResolvedCell,
    student: Path | None,
    judge: Path | None,
    question: Question,
    label: str | None,
    rationales: Sequence[tuple[str, bool, int]],
) -> list[Candidate]:
    """What each distinct rationale of a training question counts.

    Args:
        cell: whose method and settings count.
        student: folder of its student; None for none.
        judge: weights of its pretrained discriminator; None for none.
        question: a training question.
        label: that is trained on.
        rationales: text, whether it is a positive, and number of the draw; positives first.

    Returns:
        Positives, then negatives, in the order in which they were drawn.
    """
    texts = [text for text, *_ in rationales]
    positive = [kind for _, kind, _ in rationales]
    loss = quality = None
    if texts and judge is not None:
        quality = _qualities(cell, judge, question, texts).tolist()
    section, fate = cell.selection, None
    if texts and section is not None and label is not None:
        fate = fates(cell, section, student, question, label, rationales)
    side = [f.side for f in fate] if fate else positive
    if texts and student is not None and cell.method.explains_separately:
        loss = _losses(cell, student, question, texts, side)
    known = fate is not None or section is None
    share = _shares(cell, side, loss) if known else None
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


def draws_lots(scheme: Scheme) -> bool:
    """Whether a scheme takes others in every step."""
    return one_at_random in (scheme.positives, scheme.negatives)


def _shares(cell: ResolvedCell, side: Sequence[bool | None], loss: Tensor | None) -> list[float] | None:
    """Coefficient of each row in its side's loss, before the discriminator's weights; None is on no side."""
    method, section = cell.method, cell.settings.contrastive
    if method.edits:
        return None  # two stages: all right ones, then key tokens of two
    if not method.contrasts:
        positives = [row for row, kind in enumerate(side) if kind and method.explains]
        if not method.selects:  # which takes the first
            positives = positives[:1]
        return [1 / len(positives) if row in positives else 0.0 for row in range(len(side))]
    scheme = SCHEMES[section.scheme]
    if not any(side):
        return [0.0] * len(side)  # the question is out of the contrastive loss
    if draws_lots(scheme) or (scheme.needs_values and loss is None):
        return None
    offered = torch.tensor([row for row, kind in enumerate(side) if kind is not None])
    kinds = torch.tensor([kind for kind in side if kind is not None])
    rows = Candidates(torch.zeros(len(kinds), dtype=torch.long), kinds, 1)
    values = loss[offered] if loss is not None else None
    chosen = choose(rows, values, scheme, section.delta, torch.Generator())
    share = torch.zeros(len(side))
    share[offered[chosen.row]] = chosen.coefficient.float()
    return share.tolist()


@torch.no_grad()
def _losses(
    cell: ResolvedCell, folder: Path, question: Question, texts: Sequence[str], side: Sequence[bool | None]
) -> Tensor:
    student, lengths = kept_student(cell, folder).eval(), cell.settings.student
    encoded = student.read(student.prompts("explain", [question.text], lengths.max_input))
    rows, weights = student.completions(texts, lengths.max_rationale), None
    key_weight = cell.settings.contrastive.key_weight
    if cell.method.contrasts and key_weight != 1:
        right, wrong = ([n for n, kind in enumerate(side) if kind is wanted] for wanted in (True, False))
        found = key_weights([rows[n] for n in right], [rows[n] for n in wrong], key_weight)
        marked = dict(zip([*right, *wrong], found, strict=True))
        weights = [marked.get(n) for n in range(len(rows))]
    return student.cross_entropy(encoded, [0] * len(texts), rows, weights).cpu()


def _qualities(cell: ResolvedCell, path: Path, question: Question, texts: Sequence[str]) -> Tensor:
    lengths = cell.settings.student
    judge, tokenizer = new_discriminator(cell), load_tokenizer(lengths)
    set_weights(judge, tensors.load(path)[0])
    asked = tokenise(tokenizer, [question.text], lengths.max_input)[0]
    return judge.quality([asked + r for r in tokenise(tokenizer, texts, lengths.max_rationale)]).cpu()
