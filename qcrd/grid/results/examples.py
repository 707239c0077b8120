"""Test questions with the answers and rationales of several settings' students."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from qcrd.cell.resolved import ResolvedCell
from qcrd.config import Task
from qcrd.errors import DamagedResult
from qcrd.grid.plan.study import Study
from qcrd.grid.results.layout import table_settings
from qcrd.judging.cells import Explainer
from qcrd.judging.rationales import rationales
from qcrd.report.page import Example, StudentAnswer
from qcrd.types import Prediction, Question

QUESTIONS = 4  # per task
SETTINGS = 5  # per question; more are hard to read, and each student has to be loaded


def examples(study: Study) -> list[Example]:
    """Per task, the questions on which its first finished settings disagree most.

    A setting is represented by its cell of the first seed. Rationales are decoded greedily and stored in the
    cell's folder, where `qcrd judge` finds them as well.
    """
    tasks: dict[Task, list[_ExampleCell]] = {}
    for line in table_settings(study.grid, study.cells, study.ids):
        cell_id, planned = next(iter(line.cells.items()))
        example_cells = tasks.setdefault(planned.cell.settings.task, [])
        if len(example_cells) < SETTINGS and all(
            example_cell.id != cell_id for example_cell in example_cells
        ):
            setting = line.setting
            name = f"{setting.group}: {setting.label}" if setting.factor else setting.label
            example_cell = _ExampleCell(study, cell_id, name, planned.cell)
            if example_cell.predictions:
                example_cells.append(example_cell)
    return [
        example
        for example_cells in tasks.values()
        if len(example_cells) > 1
        for example in _task_examples(example_cells)
    ]


class _ExampleCell:
    """The first cell of a setting, with its predictions for test questions if it has finished."""

    def __init__(self, study: Study, cell_id: str, name: str, cell: ResolvedCell):
        self.id, self.name, self.cell = cell_id, name, cell
        self._explainer = Explainer(cell_id, name, cell, study.home.cell(cell_id))
        record = study.home.record(cell_id)
        predictions: Sequence[Prediction] = ()
        if record is not None and record.status == "done":
            study.home.student(cell_id)
            with suppress(DamagedResult):  # the table reports it
                predictions = study.home.predictions(record).get("test", ())
        self.predictions = {prediction.question_id: prediction for prediction in predictions}

    def rationales(self, questions: Sequence[Question]) -> list[str]:
        """Its rationales; "" if its method teaches none or its student was not kept."""
        if not self.cell.method.explains or not self._explainer.student.is_dir():
            return [""] * len(questions)
        return rationales(self._explainer, questions, 0.0)


def _task_examples(example_cells: Sequence[_ExampleCell]) -> list[Example]:
    def agreement(question: Question) -> int:
        """How far the number of correct settings is from one half of them."""
        correct = sum(example_cell.predictions[question.id].correct for example_cell in example_cells)
        return abs(2 * correct - len(example_cells))

    questions = sorted(example_cells[0].cell.splits.test, key=agreement)[:QUESTIONS]
    rationales_by_cell = [example_cell.rationales(questions) for example_cell in example_cells]
    return [
        Example(
            question.text,
            question.label,
            tuple(
                StudentAnswer(example_cell.name, cell_rationales[number], prediction.text, prediction.correct)
                for example_cell, cell_rationales in zip(example_cells, rationales_by_cell, strict=True)
                for prediction in [example_cell.predictions[question.id]]
            ),
        )
        for number, question in enumerate(questions)
    ]
