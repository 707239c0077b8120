"""CQA: CommonsenseQA (Talmor et al., 2018) with five choices, as published in CoS-E v1.11 (section 4.1).

As in Distilling Step-by-Step (DSS), the label is the choice's text without its letter, CoS-E's validation
split is the test set, and a tenth of its training split is held out for validation. Unlike in DSS, that
tenth is drawn by `task.seed`. The gold rationale is CoS-E's abstractive explanation.

Some questions (122 of 9,741 in training) have a choice twice, which counts as one answer.
"""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks.choices import ChoiceTask
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.shots import Shots, packaged
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
    """Commonsense questions with five choices."""

    name = "cqa"
    stop = ("\nQ:",)
    lettered = True

    def vocabulary(self) -> None:
        """None: natural language has no closed vocabulary."""

    def load(self, config: config.Task) -> Splits:
        """Load DSS's zip or folder, or a folder or Hub id in the Hub's layout (see `tasks.sources`).

        Raises:
            DataError: if the data is missing, not in the expected format or smaller than requested.
        """
        rows = LAYOUT.rows(config.source)
        train, test = (
            [_question(f"cqa-{split}-{i}", row) for i, row in enumerate(rows[split])]
            for split in ("train", "test")
        )
        return deal(self.name, PAPER, config, train, test)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six examples written for this project, then the question with its choices."""
        shots = shots or packaged("cqa.txt")
        return Prompt(question.text, shots.system, shots.examples)


def with_choices(question: str, choices: tuple[str, ...]) -> str:
    """DSS's input: the question and one line per choice. T5's tokenizer reads the newlines as spaces."""
    lines = [f"({letter}) {choice}" for letter, choice in zip(ascii_lowercase, choices, strict=False)]
    return "\n".join([question, "Answer Choices:", *lines])


def _question(id: str, row: dict[str, Any]) -> Question:
    choices = tuple(" ".join(str(choice).split()) for choice in row["choices"])
    label = " ".join(row["answer"].split())
    if label not in choices:
        raise DataError(f"{id}: the answer {label!r} is none of {choices}; the file is damaged")
    text = with_choices(" ".join(row["question"].split()), choices)
    rationale = " ".join((row.get("abstractive_explanation") or "").split())
    return Question(id, text, label, choices, rationale or None)
