"""A cell of a grid: its state, its result and its student."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qcrd.cell.finished import FinishedCell
from qcrd.config import Cell
from qcrd.errors import DataError
from qcrd.grid.plan.expansion import PlannedCell
from qcrd.grid.plan.study import Study, state
from qcrd.tasks.base import predicted_label
from qcrd.types import CellRecord

if TYPE_CHECKING:
    import pandas as pd

    from qcrd.api.student import Student


@dataclass(frozen=True)
class GridCell:
    """One cell of a grid. What it tells is read anew each time, so that it follows a running grid.

    Attributes:
        study: its grid.
        planned: its plan.
    """

    study: Study
    planned: PlannedCell

    def __repr__(self) -> str:
        return f"<cell {self.name!r} of {self.study.grid.name}>"

    @property
    def name(self) -> str:
        """Its name in the grid, such as "qcrd beta=0.4 seed=0"."""
        return self.planned.name

    @property
    def id(self) -> str:
        """Its id, which names its folder; the same in all grids that contain it."""
        return self.planned.cell.id

    @property
    def settings(self) -> Cell:
        """All of its settings: `cell.settings.contrastive.beta`."""
        return self.planned.cell.settings

    @property
    def state(self) -> str:
        """done, diverged, failed, running, interrupted (can be resumed) or planned."""
        return state(self.study.home, self.id)

    @property
    def record(self) -> CellRecord | None:
        """Its record with accuracies, statistics and versions; None if it is not finished.

        Raises:
            DamagedResult: if it is corrupted.
        """
        self.study.home.check_result(self.id)
        return self.study.home.record(self.id)

    def train(self) -> CellRecord:
        """Train it in this process, without Ray, vLLM and MLflow, or resume its training.

        A finished cell is not trained again. Missing samples are drawn if the teacher is a server or a file;
        others need `Grid.run` or `qcrd sample`. KeyboardInterrupt leaves a cell that can be resumed.

        Raises:
            DataError: if samples are missing that need Ray.
            QcrdError: if settings, data or the machine do not allow the training.
        """
        from qcrd.grid.run.one_cell import train_planned

        return train_planned(self.study, self.planned)

    def predictions(self) -> pd.DataFrame:
        """Its student's answers to the validation and test questions, at the chosen step; one row each.

        Columns: split, question_id, question (as the student reads it), gold (the data's label), compared
        (the label that it is compared with: gold, but on validation the teacher's with rationales.labels:
        teacher), predicted (None if it could not be read), right, written (the student's whole output).

        Raises:
            DataError: if it is not finished, or has diverged.
            DamagedResult: if they are corrupted.
        """
        import pandas as pd

        cell, ended = self.planned.cell, self.finished()
        sequence = cell.method.written(cell.settings.student) == "sequence"
        rows = []
        for split, predictions in self.study.home.predictions(ended.record).items():
            questions = {question.id: question for question in getattr(cell.splits, split)}
            for each in predictions:
                question = questions[each.question_id]
                rows.append(
                    {
                        "split": split,
                        "question_id": question.id,
                        "question": question.text,
                        "gold": question.label,
                        "compared": each.label,
                        "predicted": predicted_label(cell.task, question, each.text, sequence),
                        "right": each.correct,
                        "written": each.text,
                    }
                )
        if not rows:
            raise DataError(f"cell {self.id} ({self.name}) has no predictions: it {ended.record.status}")
        return pd.DataFrame(rows)

    def student(self) -> Student:
        """Its student, loaded as it was evaluated; call it with questions.

        Raises:
            DataError: if it is not finished, or its student was not kept.
        """
        from qcrd.api.student import Student

        return Student(self.finished())

    def finished(self) -> FinishedCell:
        """The finished cell, with its record and folder.

        Raises:
            DataError: if it is not finished.
            DamagedResult: if its record is corrupted.
        """
        record, home = self.record, self.study.home
        if record is None:
            raise DataError(f"cell {self.id} ({self.name}) is not finished; train it, or run its grid")
        home.student(self.id)
        return FinishedCell(self.planned.cell, record, home.cell(self.id))
