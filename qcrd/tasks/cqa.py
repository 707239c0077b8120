"""CQA: CommonsenseQA (Talmor et al., 2018) with five choices, as CoS-E v1.11 publishes it (section 4.1).

From Distilling Step-by-Step (DSS): the input, the label (the choice's text, without its letter), and that
CoS-E's validation split is the test set and a tenth of its training split is held out for validation. Not
from DSS: which tenth, which is drawn by `task.seed`. The gold rationale is CoS-E's abstractive explanation.

Some questions have a choice twice (122 of 9741 in training); it is the same answer.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks.choices import ChoiceTask
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.shots import Shots, own
from qcrd.tasks.sources import Hub, Layout
from qcrd.types import Prompt, Question, Splits

PAPER = Sizes(train=8766, validation=975, test=1221)
LAYOUT = Layout(
    name="cqa",
    fields={"question": str, "choices": list, "answer": str},
    splits={"train": ("train",), "test": ("validation",)},
    hub=Hub("Salesforce/cos_e", config="v1.11"),
)


class Cqa(ChoiceTask):
    """Everyday questions with five choices."""

    name = "cqa"
    stop = ("\nQ:",)
    lettered = True

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads DSS's zip or folder, or a folder or Hub id in the Hub's layout (see `tasks.sources`).

        Raises:
            DataError: where the data is absent, not in the expected form or less than was asked for.
        """
        rows = LAYOUT.rows(config.source)
        train, test = (
            [_question(f"cqa-{split}-{i}", row) for i, row in enumerate(rows[split])]
            for split in ("train", "test")
        )
        return deal(self.name, PAPER, config, train, test)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six worked examples of this project's own, then the question with its choices."""
        shots = shots or own("cqa.txt")
        return Prompt(question.text, shots.system, shots.examples)


def listed(question: str, choices: tuple[str, ...]) -> str:
    """DSS's input, a line for each choice; T5, whose vocabulary has no newline, reads spaces instead."""
    lines = [f"({letter}) {choice}" for letter, choice in zip(ascii_lowercase, choices, strict=False)]
    return "\n".join([question, "Answer Choices:", *lines])


def _question(id: str, row: dict[str, Any]) -> Question:
    choices = tuple(" ".join(str(choice).split()) for choice in row["choices"])
    label = " ".join(row["answer"].split())
    if label not in choices:
        raise DataError(f"{id}: the answer {label!r} is none of {choices}; the file is damaged")
    text = listed(" ".join(row["question"].split()), choices)
    rationale = " ".join((row.get("abstractive_explanation") or "").split())
    return Question(id, text, label, choices, rationale or None)
