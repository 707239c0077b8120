"""Training data in TRL's formats from a teacher's answers: SFT from right ones, DPO from pairs.

TRL's columns are `prompt` and `completion` for SFT, `prompt`, `chosen` and `rejected` for DPO: texts
(standard) or lists of messages (conversational). `question_id` is added; TRL ignores it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any, Literal

from qcrd.export.samples import Row
from qcrd.student.causal.prompts import CUES, INSTRUCTIONS, PLAIN

Style = Literal["conversational", "standard"]
Target = Callable[[str, str], str]
"""From rationale and label to the text that a student is to write (`Task.target`)."""

COLUMNS = {"sft": ("prompt", "completion"), "dpo": ("prompt", "chosen", "rejected")}


def sft(rows: Sequence[Row], target: Target, style: Style, left_out: Counter[str]) -> list[Row]:
    """One row for each distinct right rationale of a question, in the order of draws.

    Args:
        rows: of one task and teacher, as `qcrd.export.samples.rows` returns them.
        target: the text of rationale and label.
        style: conversational or standard.
        left_out: counts by reason the answers that are not used.
    """
    found = []
    for of_question in _questions(rows):
        right, wrong = _sides(of_question, left_out)
        left_out["wrong"] += len(wrong)
        found += [_row(row, style, completion=_text(row, target)) for row in right]
    return found


def dpo(
    rows: Sequence[Row], target: Target, style: Style, left_out: Counter[str], most: int | None = None
) -> list[Row]:
    """Pairs of a right and a wrong answer to one question.

    The first right answer in the order of draws goes with the first wrong one, the second with the second,
    and so on, so that no answer is in two pairs. Nothing is drawn at random.

    Args:
        rows: of one task and teacher, as `qcrd.export.samples.rows` returns them.
        target: the text of rationale and label.
        style: conversational or standard.
        left_out: counts by reason the answers that are not used.
        most: pairs of one question; None: as many as there are.
    """
    found = []
    for of_question in _questions(rows):
        right, wrong = _sides(of_question, left_out)
        pairs = list(zip(right, wrong, strict=False))[:most]
        for side, others, name in ((right, wrong, "wrong"), (wrong, right, "right")):
            reason = (
                "more than pairs asked for" if len(others) > len(pairs) else f"no {name} answer to go with"
            )
            if len(side) > len(pairs):
                left_out[reason] += len(side) - len(pairs)
        found += [
            _row(good, style, chosen=_text(good, target), rejected=_text(bad, target)) for good, bad in pairs
        ]
    return found


def _questions(rows: Sequence[Row]) -> list[list[Row]]:
    return [list(group) for _, group in groupby(rows, lambda row: (row["split"], row["question_id"]))]


def _sides(rows: Sequence[Row], left_out: Counter[str]) -> tuple[list[Row], list[Row]]:
    """A question's right and wrong answers without those that teach nothing, which are counted."""
    sides: dict[bool, dict[str, Row]] = {True: {}, False: {}}
    for right in (True, False):
        for row in (row for row in rows if row["right"] is right):
            text = " ".join((row["rationale"] or "").split())
            if not text:
                left_out["without reasoning"] += 1
            elif text in sides[right]:
                left_out["said before"] += 1
            elif text in sides[True]:
                left_out["wrong, with the reasoning of a right one"] += 1
            else:
                sides[right][text] = row
    for row in (row for row in rows if row["right"] is None):
        left_out["cut off" if row["finish_reason"] == "length" else "unread"] += 1
    return list(sides[True].values()), list(sides[False].values())


def _text(row: Row, target: Target) -> str:
    return target(row["rationale"], row["label"])


def _row(row: Row, style: Style, **answers: str) -> Row:
    """A row of TRL's columns: what is asked, and the answers by their column."""
    found: dict[str, Any] = {"question_id": row["question_id"]}
    if style == "standard":
        prompt = PLAIN.format(question=row["question"], cue=CUES["solve"])
        return found | {"prompt": prompt} | {name: f" {text}" for name, text in answers.items()}
    prompt = f"{row['question']}\n{INSTRUCTIONS['solve']}"
    messages = {name: [{"role": "assistant", "content": text}] for name, text in answers.items()}
    return found | {"prompt": [{"role": "user", "content": prompt}]} | messages
