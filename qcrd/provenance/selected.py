"""Recomputes a cell's selection among a question's rationales, with the models that were kept."""

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
class Selected:
    """Result of the selection for one rationale."""

    side: bool | None  # True for a positive, False for a negative, None if it is left out
    reason: str = ""  # why it is left out
    difficulty: float | None = None  # nats per token; None if it is not measured


def selected(
    cell: ResolvedCell,
    section: Selection,
    student: Path | None,
    question: Question,
    label: str,
    rationales: Sequence[tuple[str, bool, int]],
) -> list[Selected] | None:
    """Result of the selection for each rationale.

    Args:
        cell: the cell.
        section: its selection with all settings resolved.
        student: folder of its student; None for none.
        question: the question.
        label: its training label.
        rationales: text, whether it is correct, and number of the draw.

    Returns:
        One result per rationale. None if the selection cannot be reproduced: the rule is re-applied in each
        iteration, or the student that it measures with is not kept.
    """
    rule = rule_of(section)
    if rule.renews or (rule.measures and section.measured_by is None and student is None):
        return None
    order = sorted(range(len(rationales)), key=lambda row: rationales[row][2])  # order of the draws
    candidates, filtered = passing([rationales[row][:2] for row in order], section)
    if rule.measures:
        texts = [candidate.text for candidate in candidates]
        values = _difficulty(cell, section, student, question, label, texts)
        candidates = [replace(c, difficulty=value) for c, value in zip(candidates, values, strict=True)]
    chosen = choose(rule, candidates, section.n, Random(0), question.id)
    result_of_row = {}
    for number, (drawn, candidate) in enumerate(zip(filtered.kept, candidates, strict=True)):
        is_chosen = number in chosen
        result = Selected(
            True if is_chosen else None, "" if is_chosen else "not selected", candidate.difficulty
        )
        result_of_row[order[drawn]] = result
    for row, (_, correct, _) in enumerate(rationales):
        if row not in result_of_row:
            negative = section.accuracy and not correct
            result_of_row[row] = Selected(False) if negative else Selected(None, "a near-duplicate")
    return [result_of_row[row] for row in range(len(rationales))]


def _difficulty(
    cell: ResolvedCell,
    section: Selection,
    folder: Path | None,
    question: Question,
    label: str,
    texts: Sequence[str],
) -> list[float]:
    if section.measured_by is None:
        assert folder is not None  # otherwise `selected` has returned None
        student = kept_student(cell, folder)
    else:
        student = measurer(cell)
    lengths = cell.settings.student
    sequence = cell.method.chooses_sequence(lengths)
    return difficulties(student, cell.task, lengths, [question], [label], [texts], sequence)[0]
