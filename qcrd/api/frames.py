"""Tables of results and of teachers' answers, for pandas and datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from qcrd.api.cell import GridCell
from qcrd.cell.answers import read_samples
from qcrd.config import Cell, Section
from qcrd.config.presets import PRESETS, Preset
from qcrd.grid.plan.factors import get_setting, setting_paths, short_name
from qcrd.grid.plan.study import Study, last_status

if TYPE_CHECKING:
    import datasets
    import pandas as pd

ACCURACIES = ("test", "validation", "test_last", "test_best", "test_votes")
COSTS = ("teacher_tokens", "student_tflop")
_ALWAYS = ("method", "task.name", "seed")


def results(cells: Sequence[GridCell], preset: Preset) -> pd.DataFrame:
    """One row a cell; the columns are those of `Grid.results`.

    Raises:
        DamagedResult: if a record is corrupted.
    """
    import pandas as pd

    paths = [*_ALWAYS, *_told(cells, preset)]
    return pd.DataFrame([_row(cell, paths) for cell in cells])


def _told(cells: Sequence[GridCell], preset: Preset) -> list[str]:
    """Settings in which a cell differs from another one, or from the preset."""
    own = Cell.model_validate(PRESETS[preset])
    return [
        path
        for path in setting_paths()
        if path not in _ALWAYS and any(get_setting(c.settings, path) != get_setting(own, path) for c in cells)
    ]


def _row(cell: GridCell, paths: Sequence[str]) -> dict[str, Any]:
    record, state = cell.record, cell.state
    row: dict[str, Any] = {"name": cell.name, "id": cell.id, "state": state}
    row |= {short_name(path): _plain(get_setting(cell.settings, path)) for path in paths}
    accuracy, statistics = (record.accuracy, record.statistics) if record else ({}, {})
    row |= {f"accuracy_{name}": accuracy.get(name) for name in ACCURACIES}
    row |= {
        "chosen_step": record.chosen_step if record else None,
        "seconds": record.seconds if record else None,
    }
    row |= {f"cost_{name}": statistics.get(f"cost/{name}") for name in COSTS}
    message = record.message if record else ""
    if state == "failed":
        message = last_status(cell.study.home, cell.id)[1]
    return {**row, "message": message}


def _plain(value: Any) -> Any:
    return value.model_dump() if isinstance(value, Section) else value


def samples(study: Study, split: str) -> datasets.Dataset:
    """The stored answers of a grid's teachers to one split; the columns are those of `Grid.samples`.

    Raises:
        DataError: if they are not drawn yet.
    """
    import datasets

    text, number = datasets.Value("string"), datasets.Value("int64")
    kinds = {name: text for name in ("task", "model", "question_id", "question", "gold")}
    kinds |= {"index": number, "answer": text, "rationale": text, "label": text}
    kinds |= {"right": datasets.Value("bool"), "unread": text, "finish_reason": text, "tokens": number}
    columns: dict[str, list[Any]] = {name: [] for name in kinds}
    for need, cell in study.sample_needs():
        for question, answers in read_samples(cell, study.home, split, need.m):
            for sample, parsed in answers:
                row = {
                    "task": need.task.name,
                    "model": need.teacher.name,
                    "question_id": question.id,
                    "question": question.text,
                    "gold": question.label,
                    "index": sample.index,
                    "answer": sample.text,
                    "rationale": parsed.rationale,
                    "label": parsed.label,
                    "right": parsed.label is not None and cell.task.correct(parsed.label, question),
                    "unread": parsed.reason,
                    "finish_reason": sample.finish_reason,
                    "tokens": sample.tokens,
                }
                for name, value in row.items():
                    columns[name].append(value)
    return datasets.Dataset.from_dict(columns, features=datasets.Features(kinds))
