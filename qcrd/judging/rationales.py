"""What the students of finished cells say for themselves: written once, kept in the cell's folder."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from qcrd.cell.finished import kept_student
from qcrd.judging.cells import Explainer
from qcrd.seeds import derive
from qcrd.storage.files import read_json, write_json
from qcrd.storage.lease import Lease
from qcrd.student.base import Student
from qcrd.types import Question


def rationales(side: Explainer, questions: Sequence[Question], tau: float) -> list[str]:
    """The student's rationale for each question, "" where it writes none.

    A rationale depends on the cell, the question and `tau` alone: each question has a random stream of its
    own, from the cell's seed, and one that was written before is read from `rationales/tau-<tau>.json`.

    Args:
        side: whose student writes.
        questions: what it explains.
        tau: sampling temperature; 0 decodes greedily.
    """
    path = side.folder / "rationales" / f"tau-{float(tau)}.json"
    path.parent.mkdir(exist_ok=True)
    with Lease(path.with_suffix(".lease")):
        kept: dict[str, str] = read_json(path) or {}
        lacking = [q for q in questions if q.id not in kept]
        if lacking:
            kept |= dict(zip((q.id for q in lacking), _write(side, lacking, tau), strict=True))
            write_json(path, kept)
            torch.cuda.empty_cache()  # the judge may start on this GPU
    return [kept[q.id] for q in questions]


def load(side: Explainer) -> Student:
    """The cell's student as it was evaluated."""
    return kept_student(side.cell, side.student)


def _write(side: Explainer, questions: Sequence[Question], tau: float) -> list[str]:
    """As in training: after `explain: `, or before the label where the method writes both in one."""
    settings, method, task = side.cell.settings.student, side.cell.method, side.cell.task
    student = load(side)
    whole = method.writes == "sequence"
    limit = settings.max_rationale + (settings.max_label if whole else 0) - 1  # without end of sequence
    asked = student.prompts(
        "predict" if whole else "explain", [q.text for q in questions], settings.max_input
    )
    if tau > 0:
        written = []
        for question, row in zip(questions, asked, strict=True):  # alone: a batch would share one stream
            generator = torch.Generator(student.device)
            generator.manual_seed(derive(side.cell.settings.seed, "explain", question.id))
            written += student.generate([row], limit, temperature=tau, generator=generator)
    else:
        written = student.generate(asked, limit)
    texts = [student.text(tokens) for tokens in written]
    if whole:
        texts = [task.parse(t, q).rationale or "" for t, q in zip(texts, questions, strict=True)]
    return texts
