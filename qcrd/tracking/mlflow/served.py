"""A trained student as an MLflow pyfunc model.

Uses MLflow's "models from code": this file is copied into the logged model, next to the package, and executed
when the model is loaded. The weights are safetensors; nothing is unpickled.
"""

from pathlib import Path
from typing import Any

from mlflow.models import set_model
from mlflow.pyfunc import PythonModel
from pandas import DataFrame

from qcrd.cell.answering import Answerer
from qcrd.types import Question

CELL, STUDENT = "cell", "student"  # names of the model's artifacts
EXPLAIN = "explain"  # request parameter: whether to return rationales


class ServedStudent(PythonModel):
    """Answers a table with a column `question`, and a column `choices` for tasks with choices."""

    def load_context(self, context: Any) -> None:
        """Load the student from the logged model's artifacts."""
        self._answer = Answerer.load(Path(context.artifacts[CELL]), Path(context.artifacts[STUDENT]))

    def predict(
        self, context: Any, model_input: DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, str]]:
        """A label and a rationale per row; "" if there is none."""
        questions = [
            Question(str(row), record["question"], "", tuple(record.get("choices") or ()))
            for row, record in enumerate(model_input.to_dict("records"))
        ]
        answers = self._answer(questions, bool((params or {}).get(EXPLAIN)))
        return [{"label": answer.label, "rationale": answer.rationale} for answer in answers]


set_model(ServedStudent())
