"""SVAMP (Patel et al., 2021): word problems with equations as labels (section 4.1).

Sources are the archive of Distilling Step-by-Step (DSS), zipped or unpacked, and the Hub's layout. Both give
the same questions with the same ids. The 800 training rows are split by `task.seed` into the paper's 720/80.
Ids contain the number of the row in DSS's file, to which recorded answers refer. Gold labels are not
corrected, even where they are known to be wrong (row 195 of the training file).
"""

from __future__ import annotations

import re
from dataclasses import replace

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import equations, sources
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.reading import EquationTask
from qcrd.tasks.shots import Shots, packaged
from qcrd.tasks.sources import Hub
from qcrd.types import Parsed, Prompt, Question, Splits

PAPER = Sizes(train=720, validation=80, test=200)
# The commit of the main branch with Parquet files; see ChilleD/SVAMP/tree/main on the Hub.
HUB = Hub("ChilleD/SVAMP", revision="5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef")
_SHORT = 150  # characters; a longer answer without a final punctuation mark counts as cut off
_SENTENCE_END = re.compile(r"[.!?)]\s*$")


class Svamp(EquationTask):
    """Word problems of SVAMP."""

    name = "svamp"
    cue = "Equation"
    stop = ("\nQ:",)

    def vocabulary(self) -> None:
        """None: natural language has no closed vocabulary."""

    def load(self, config: config.Task) -> Splits:
        """Load DSS's zip or folder, or a folder or Hub id in the Hub's layout; None for `ChilleD/SVAMP`.

        Environment variables and `~` in `config.source` are expanded.

        Raises:
            DataError: if the data is missing, not in the expected format or smaller than requested.
        """
        rows = _rows(config.source or HUB.id)
        train, test = (
            [_question(f"svamp-{split}-{i}", row["input"], row["label"]) for i, row in enumerate(rows[split])]
            for split in ("train", "test")
        )
        return deal(self.name, PAPER, config, train, test)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six examples written for this project, then the question."""
        shots = shots or packaged("svamp.txt")
        return Prompt(question.text, shots.system, shots.examples)

    def _uncued(self, text: str, question: Question) -> Parsed | None:
        """Parse `... Therefore, Luke scored 42 points.` by its last number or equation, if complete.

        Text without a calculation is not used as a rationale.
        """
        text = text.strip()
        if len(text) > _SHORT and not _SENTENCE_END.search(text):
            return None
        parsed = self._last(text, question)
        if parsed is None:
            return None
        return parsed if "=" in text else replace(parsed, rationale=None)


def _question(id: str, text: str, equation: str) -> Question:
    label = equations.normal(equation)
    if label is None:
        raise DataError(f"{id}: {equation!r} is not an equation; the file is damaged or not SVAMP")
    return Question(id, " ".join(text.split()), label)


def _rows(source: str) -> sources.Rows:
    """Rows with `input` and `label`, by split."""
    return sources.dss(source, "svamp", ("train", "test"), {"input": str, "label": str}) or _hub(source)


def _hub(source: str) -> sources.Rows:
    """Rows in the Hub's layout (ID, Body, Question, Equation), in DSS's splits.

    The Hub's 700/300 splits are not the paper's. DSS drew 800/200 by a permutation (numpy, seed 0) of the
    original order, which is that of the IDs chal-1 to chal-1000.
    """
    items = [item for split in sources.load(source, HUB).values() for item in split]
    try:
        items.sort(key=lambda item: int(item["ID"].split("-")[-1]))
        rows = [{"input": f"{item['Body']} {item['Question']}", "label": item["Equation"]} for item in items]
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"task.source: {source!r} is not in the layout of {HUB.id} ({error!r}): ID (chal-1, ...), Body, "
            "Question, Equation"
        ) from error
    import numpy  # here, since DSS's files do not need it

    rows = [rows[i] for i in numpy.random.RandomState(0).permutation(len(rows))]
    cut = len(rows) * 4 // 5
    return {"train": rows[:cut], "test": rows[cut:]}
