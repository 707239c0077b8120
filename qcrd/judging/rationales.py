"""Rationales of finished cells' students: generated once, stored in the cell's folder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from qcrd.cell.finished import kept_student
from qcrd.judging.cells import Explainer
from qcrd.seeds import derive
from qcrd.storage.files import read_json, write_json
from qcrd.storage.lease import Lease
from qcrd.types import Question

if TYPE_CHECKING:
    from qcrd.student.base import Student


def rationales(side: Explainer, questions: Sequence[Question], tau: float) -> list[str]:
    """The student's rationale for each question, "" if it writes none.

    A rationale depends only on the cell, the question and `tau`: each question has its own random stream,
    derived from the cell's seed. Rationales are cached in `rationales/tau-<tau>.json`.

    Args:
        side: the cell.
        questions: questions to explain.
        tau: sampling temperature; 0 decodes greedily.
    """
    path = side.folder / "rationales" / f"tau-{float(tau)}.json"
    path.parent.mkdir(exist_ok=True)
    with Lease(path.with_suffix(".lease")):
        kept: dict[str, str] = read_json(path) or {}
        missing = [q for q in questions if q.id not in kept]
        if missing:
            kept |= dict(zip((q.id for q in missing), _write(side, missing, tau), strict=True))
            write_json(path, kept)
    return [kept[q.id] for q in questions]


def load(side: Explainer) -> Student:
    """Load the cell's student as evaluated."""
    return kept_student(side.cell, side.student)


def _write(side: Explainer, questions: Sequence[Question], tau: float) -> list[str]:
    """Generate as in training: from the `explain: ` prompt, or with the label if the method writes both."""
    import torch  # a report whose rationales are all stored needs neither torch nor transformers

    settings, method, task = side.cell.settings.student, side.cell.method, side.cell.task
    student = load(side)
    whole = method.written(settings) == "sequence"
    limit = settings.max_rationale + (settings.max_label if whole else 0) - 1  # without end of sequence
    prompts = student.prompts(
        "solve" if whole else "explain", [q.text for q in questions], settings.max_input
    )
    if tau > 0:
        written = []
        for question, row in zip(questions, prompts, strict=True):  # not batched: one stream per question
            generator = torch.Generator(student.device)
            generator.manual_seed(derive(side.cell.settings.seed, "explain", question.id))
            written += student.generate([row], limit, temperature=tau, generator=generator)
    else:
        written = student.generate(prompts, limit)
    torch.cuda.empty_cache()  # the judge may start on this GPU
    texts = [student.text(tokens) for tokens in written]
    if whole:
        texts = [task.parse(t, q).rationale or "" for t, q in zip(texts, questions, strict=True)]
    return texts
