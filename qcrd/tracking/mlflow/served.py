"""A trained student as MLflow serves it.

"Models from code": MLflow copies this file into the logged model, beside the package, and runs it where the
model is loaded. The weights are safetensors; nothing is unpickled.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pandas import DataFrame

from qcrd.cell.answering import Answerer
from qcrd.types import Question

CELL, STUDENT = "cell", "student"  # names of what it is made of
EXPLAIN = "explain"  # parameter of a request: whether rationales are wanted


class ServedStudent(PythonModel):
    """Answers a table with a column `question`, for tasks with choices also `choices`."""

    def load_context(self, context: Any) -> None:
        """Load the student that lies in the logged model."""
        self._answer = Answerer.load(Path(context.artifacts[CELL]), Path(context.artifacts[STUDENT]))

    def predict(
        self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, str]]:
        """A label and a rationale for each row, "" where there is none."""
        questions = [
            Question(str(row), record["question"], "", tuple(record.get("choices") or ()))
            for row, record in enumerate(model_input.to_dict("records"))
        ]
        answers = self._answer(questions, bool((params or {}).get(EXPLAIN)))
        return [{"label": answer.label, "rationale": answer.rationale} for answer in answers]


set_model(ServedStudent())
