"""Rows of a teacher's stored answers, with what was asked and whether the answer is right."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.resolved import ResolvedCell
from qcrd.samples import inventory
from qcrd.samples.store import IDENTITY
from qcrd.storage.files import read_json
from qcrd.storage.home import Home
from qcrd.teacher.engines import ENGINES

Row = dict[str, Any]

COLUMNS = {
    "task": "string",
    "split": "string",
    "question_id": "string",
    "question": "string",
    "choices": "strings",  # of a choice; empty otherwise
    "gold": "string",  # the gold label
    "index": "integer",  # number of the answer among those to its question, from 0
    "answer": "string",  # the teacher's text
    "rationale": "string",  # the reasoning in it
    "label": "string",  # the label in it; null if it cannot be read
    "right": "boolean",  # whether that equals the gold label; null if it cannot be read
    "unread": "string",  # why it cannot be read
    "finish_reason": "string",  # stop, or length: cut off
    "tokens": "integer",  # 0 if not counted
    "engine": "string",
    "model": "string",
    "temperature": "number",  # null for recorded answers, whose temperature is not known
    "sampler": "string",
    "prompt_id": "string",
    "prompt": "string",  # the teacher's, as plain text
}
"""Columns of a row with their types."""


def rows(cell: ResolvedCell, home: Home, m: int, splits: Iterable[str], left_out: Counter[str]) -> list[Row]:
    """The first m answers to each question of the splits, in the order of questions and draws.

    Args:
        cell: whose task and teacher it is.
        home: where the samples are.
        m: answers per question.
        splits: of train, validation and test.
        left_out: counts by reason what is not in the rows.
    """
    task, teacher, store = cell.task, cell.settings.teacher, sample_store(cell, home)
    drawn = ENGINES[teacher.engine].draws
    about = {
        "engine": teacher.engine,
        "model": teacher.model if drawn else None,
        "temperature": teacher.temperature if drawn else None,
        "sampler": store.folder.name,
    }
    found: list[Row] = []
    for split in splits:
        questions = {question.id: question for question in getattr(cell.splits, split)}
        requests = sample_requests(cell, split, m)
        stored = store.load(requests)
        for request in requests:
            sample, question = stored.get(request.key), questions[request.question_id]
            if sample is None:
                left_out["not drawn" if drawn else "not recorded"] += 1
                continue
            parsed = task.parse(sample.text, question, sample.finish_reason)
            found.append(
                {
                    "task": task.name,
                    "split": split,
                    "question_id": question.id,
                    "question": question.text,
                    "choices": list(question.choices),
                    "gold": question.label,
                    "index": request.index,
                    "answer": sample.text,
                    "rationale": parsed.rationale,
                    "label": parsed.label,
                    "right": None if parsed.label is None else task.correct(parsed.label, question),
                    "unread": parsed.reason,
                    "finish_reason": sample.finish_reason,
                    "tokens": sample.tokens,
                    **about,
                    "prompt_id": request.prompt_id,
                    "prompt": request.prompt.text,
                }
            )
    return found


def stored_rows(folder: Path) -> list[Row]:
    """All answers of a sampler, by question and draw; what only a task knows is null.

    Of several versions of an answer, drawn under different token limits, the longest.
    """
    identity = read_json(folder / IDENTITY) or {}
    summary = inventory.summary(folder)
    found = []
    for prompt in inventory.answers(folder):
        for draw in sorted(prompt.texts):
            known = {
                "question_id": prompt.question_id,
                "choices": [],
                "index": draw,
                "answer": prompt.texts[draw],
                "finish_reason": prompt.finish_reasons[draw],
                "tokens": prompt.tokens[draw],
                "engine": summary.engine,
                "model": summary.model if "model" in identity else None,
                "temperature": summary.temperature,
                "sampler": folder.name,
                "prompt_id": prompt.prompt_id,
                "prompt": prompt.prompt,
            }
            found.append({name: known.get(name) for name in COLUMNS})
    return found
