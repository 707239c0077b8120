"""What a cell's selection makes of a question's rationales, recomputed with the models that are kept."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random

from qcrd.cell.finished import kept_student
from qcrd.cell.resolved import ResolvedCell
from qcrd.cell.run import measurer
from qcrd.config import Selection
from qcrd.objectives.rationale_pool import difficulties
from qcrd.rationales.select import choose, passing, rule_of
from qcrd.types import Question


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one rationale."""

    side: bool | None  # offered as a positive or as a negative; None where it is left out
    why: str = ""  # it is left out
    difficulty: float | None = None  # nats per token; None where it was not measured


def fates(
    cell: ResolvedCell,
    section: Selection,
    student: Path | None,
    question: Question,
    label: str,
    rationales: Sequence[tuple[str, bool, int]],
) -> list[Fate] | None:
    """What became of each rationale; None where that cannot be said: chance, or the student is gone.

    Args:
        cell: whose they are.
        section: its selection, nothing of it open.
        student: folder of its student; None for none.
        question: that they answer.
        label: that is trained on.
        rationales: text, whether it is right, and number of the draw.
    """
    rule = rule_of(section)
    if rule.renews or (rule.measures and section.measured_by is None and student is None):
        return None
    order = sorted(range(len(rationales)), key=lambda row: rationales[row][2])  # as they were drawn
    candidates, left = passing([rationales[row][:2] for row in order], section)
    if rule.measures:
        texts = [candidate.text for candidate in candidates]
        values = _difficulty(cell, section, student, question, label, texts)
        candidates = [replace(c, difficulty=value) for c, value in zip(candidates, values, strict=True)]
    chosen = choose(rule, candidates, section.n, Random(0), question.id)
    fate_of_row = {}
    for number, (drawn, candidate) in enumerate(zip(left.kept, candidates, strict=True)):
        taken = number in chosen
        fate = Fate(True if taken else None, "" if taken else "not selected", candidate.difficulty)
        fate_of_row[order[drawn]] = fate
    for row, (_, right, _) in enumerate(rationales):
        if row not in fate_of_row:
            out = section.accuracy and not right
            fate_of_row[row] = Fate(False) if out else Fate(None, "a near-duplicate")
    return [fate_of_row[row] for row in range(len(rationales))]


def _difficulty(
    cell: ResolvedCell,
    section: Selection,
    folder: Path | None,
    question: Question,
    label: str,
    texts: Sequence[str],
) -> list[float]:
    if section.measured_by is None:
        assert folder is not None  # without its student `fates` says nothing
        student = kept_student(cell, folder)
    else:
        student = measurer(cell)
    lengths = cell.settings.student
    sequence = cell.method.chooses_sequence(lengths)
    return difficulties(student, cell.task, lengths, [question], [label], [texts], sequence)[0]
