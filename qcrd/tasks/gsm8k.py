"""GSM8K (Cobbe et al., 2021): grade-school word problems of two to eight steps with numbers as labels.

Sources are the Hub, a folder with a copy of the Hub's repository, or a folder with the published
`train.jsonl` and `test.jsonl`. All give the same questions with the same ids, which contain the number of the
row. The data set has no validation split: a tenth of the training questions, drawn by `task.seed`, is held
out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from qcrd import config
from qcrd.config.paths import replaced
from qcrd.errors import DataError
from qcrd.tasks import equations, sources
from qcrd.tasks.answers import CALCULATOR
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.reading import EquationTask
from qcrd.tasks.shots import Shots, packaged
from qcrd.tasks.sources import Hub, Rows
from qcrd.types import Prompt, Question, Splits

SIZES = Sizes(train=6726, validation=747, test=1319, papers=False)  # 7,473 training questions in all
HUB = Hub("openai/gsm8k", config="main")
SPLITS = ("train", "test")
_FIELDS = ("question", "answer")
_LABEL = "####"  # precedes the number at the end of each answer


class Gsm8k(EquationTask):
    """Word problems of several steps; the label is the resulting number."""

    name = "gsm8k"
    stop = ("\nQ:",)

    def vocabulary(self) -> None:
        """None: natural language has no closed vocabulary."""

    def load(self, config: config.Task) -> Splits:
        """Load a folder or Hub id; None for `openai/gsm8k`.

        Environment variables and `~` in `config.source` are expanded.

        Raises:
            DataError: if the data is missing, not in the expected format or smaller than requested.
        """
        source = config.source or HUB.id
        rows = _published(source) or sources.load(source, HUB)
        if missing := [split for split in SPLITS if split not in rows]:
            raise DataError(
                f"task.source: {source!r} has the splits {', '.join(rows)}; {' and '.join(missing)} expected "
                f"as in {HUB.id}"
            )
        train, test = (
            [_question(f"gsm8k-{split}-{i}", row) for i, row in enumerate(rows[split])] for split in SPLITS
        )
        return deal(self.name, SIZES, config, train, test)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six examples written for this project, then the question."""
        shots = shots or packaged("gsm8k.txt")
        return Prompt(question.text, shots.system, shots.examples)


def _question(id: str, row: dict[str, Any]) -> Question:
    if not all(isinstance(row.get(field), str) for field in _FIELDS):
        raise DataError(f"{id}: expected the texts `question` and `answer`, has {', '.join(map(str, row))}")
    solution, mark, number = row["answer"].rpartition(_LABEL)
    label = equations.normal(number.strip()) if mark else None
    if label is None:
        raise DataError(f"{id}: the answer ends in {number.strip()[-40:]!r}; expected `#### ` and a number")
    rationale = " ".join(CALCULATOR.sub("", solution).split())
    return Question(id, " ".join(row["question"].split()), label, rationale=rationale or None)


def _published(source: str) -> Rows | None:
    """Rows of `train.jsonl` and `test.jsonl` in a folder; None if `source` is not a folder with both."""
    try:
        files = {split: Path(replaced(source)) / f"{split}.jsonl" for split in SPLITS}
    except ValueError as error:
        raise DataError(f"task.source: {error}") from error
    if not all(file.is_file() for file in files.values()):
        return None
    return {split: _lines(file) for split, file in files.items()}


def _lines(file: Path) -> list[dict[str, Any]]:
    rows = []
    # As bytes: str.splitlines splits at more than line feeds, and errors of decoding name the line.
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(
                    f"{file}, line {number}: not JSON ({error}); expected one object per line"
                ) from error
            if not isinstance(row, dict):
                raise DataError(f"{file}, line {number}: {type(row).__name__}; expected an object")
            rows.append(row)
    return rows
