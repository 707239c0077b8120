"""Natural language inference (ANLI, e-SNLI): a premise, a hypothesis, and one of three labels.

The student's input is the premise, T5's end-of-sequence token and the hypothesis, as in Distilling
Step-by-Step (DSS). The teacher's prompt has them on two labelled lines.
"""

from __future__ import annotations

from typing import Any

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks.choices import ChoiceTask
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.shots import Shots, packaged
from qcrd.tasks.sources import Layout
from qcrd.types import Prompt, Question, Splits

LABELS = ("entailment", "neutral", "contradiction")
"""Labels in the order of their numbers 0, 1 and 2 in the data sets."""
EOS = "</s>"
"""End-of-sequence token of every T5 vocabulary."""
FIELDS = {"premise": str, "hypothesis": str, "label": int}


class NliTask(ChoiceTask):
    """A data set of premises and hypotheses with training, validation and test sets.

    Attributes:
        layout: location and format of its rows.
        paper: sizes of its three splits in the paper.
        explanation: field of the human explanation, which some rows lack.
    """

    name: str
    stop = ("\nQ:",)
    layout: Layout
    paper: Sizes
    explanation: str

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads DSS's zip or folder, or a folder or Hub id in the Hub's layout (see `tasks.sources`).

        Raises:
            DataError: where the data is absent, not in the expected form or less than was asked for.
        """
        rows = self.layout.rows(config.source)
        train, validation, test = (
            [self._question(f"{self.name}-{split}-{i}", row) for i, row in enumerate(rows[split])]
            for split in ("train", "valid", "test")
        )
        return deal(self.name, self.paper, config, train, test, validation)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six examples written for this project, then premise and hypothesis."""
        shots = shots or packaged(f"{self.name}.txt")
        premise, _, hypothesis = question.text.partition(EOS)
        return Prompt(f"Premise: {premise}\nHypothesis: {hypothesis}", shots.system, shots.examples)

    def _question(self, id: str, row: dict[str, Any]) -> Question:
        if row["label"] not in range(len(LABELS)):
            raise DataError(
                f"{id}: label {row['label']}; allowed: 0 (entailment), 1 (neutral), 2 (contradiction)"
            )
        premise, hypothesis = (" ".join(row[part].split()) for part in ("premise", "hypothesis"))
        rationale = " ".join((row.get(self.explanation) or "").split())
        return Question(id, f"{premise}{EOS}{hypothesis}", LABELS[row["label"]], LABELS, rationale or None)
