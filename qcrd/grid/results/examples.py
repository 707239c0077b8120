"""Test questions with what the students of several settings say to them."""

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

QUESTIONS = 4  # of each task
SETTINGS = 5  # side by side: more cannot be read, and each student has to be loaded


def examples(study: Study) -> list[Example]:
    """For each task the questions about which its first finished settings disagree most.

    The cell of the first seed speaks for a setting. Rationales are written greedily and once: they stay in
    the cell's folder, where a judge finds them too.
    """
    tasks: dict[Task, list[_Speaker]] = {}
    for line in table_settings(study.grid, study.cells, study.ids):
        cell_id, planned = next(iter(line.cells.items()))
        speakers = tasks.setdefault(planned.cell.settings.task, [])
        if len(speakers) < SETTINGS and all(speaker.id != cell_id for speaker in speakers):
            setting = line.setting
            name = f"{setting.group}: {setting.label}" if setting.factor else setting.label
            speaker = _Speaker(study, cell_id, name, planned.cell)
            if speaker.predictions:
                speakers.append(speaker)
    return [example for speakers in tasks.values() if len(speakers) > 1 for example in _of_task(speakers)]


class _Speaker:
    """A setting's first cell, with its answers to the test questions where it has finished."""

    def __init__(self, study: Study, cell_id: str, name: str, cell: ResolvedCell):
        self.id, self.name, self.cell = cell_id, name, cell
        self._explainer = Explainer(cell_id, name, cell, study.home.cell(cell_id))
        record = study.home.record(cell_id)
        found: Sequence[Prediction] = ()
        if record is not None and record.status == "done":
            study.home.student(cell_id)
            with suppress(DamagedResult):  # the table says so
                found = study.home.predictions(record).get("test", ())
        self.predictions = {prediction.question_id: prediction for prediction in found}

    def rationales(self, questions: Sequence[Question]) -> list[str]:
        """Its rationales, "" where its method teaches none or its student was not kept."""
        if not self.cell.method.explains or not self._explainer.student.is_dir():
            return [""] * len(questions)
        return rationales(self._explainer, questions, 0.0)


def _of_task(speakers: Sequence[_Speaker]) -> list[Example]:
    def unevenness(question: Question) -> int:
        """How far the settings are from one half of them being right and the other wrong."""
        right = sum(speaker.predictions[question.id].correct for speaker in speakers)
        return abs(2 * right - len(speakers))

    questions = sorted(speakers[0].cell.splits.test, key=unevenness)[:QUESTIONS]
    told = [speaker.rationales(questions) for speaker in speakers]
    return [
        Example(
            question.text,
            question.label,
            tuple(
                StudentAnswer(speaker.name, written[number], prediction.text, prediction.correct)
                for speaker, written in zip(speakers, told, strict=True)
                for prediction in [speaker.predictions[question.id]]
            ),
        )
        for number, question in enumerate(questions)
    ]
