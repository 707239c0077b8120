"""SVAMP (Patel et al., 2021): word problems whose labels are equations (section 4.1).

Read either from the archive of Distilling Step-by-Step (DSS), packed or unpacked, or in the Hub's layout;
both give the same questions with the same ids. The 800 training rows are split by `task.seed` into the
paper's 720/80; an id keeps the number of its row in DSS's file, to which recorded answers refer. Gold labels
are taken as they are, also where the data set is known to be wrong (row 195 of the training file).
"""

from __future__ import annotations

import re
from dataclasses import replace

from qcrd import config
from qcrd.errors import DataError
from qcrd.tasks import equations, sources
from qcrd.tasks.dealing import Sizes, deal
from qcrd.tasks.reading import EquationTask
from qcrd.tasks.shots import Shots, own
from qcrd.tasks.sources import Hub
from qcrd.types import Parsed, Prompt, Question, Splits

PAPER = Sizes(train=720, validation=80, test=200)
# Main in Parquet, which is this commit: the Hub's page ChilleD/SVAMP/tree/main, many public lock files.
HUB = Hub("ChilleD/SVAMP", revision="5e0bf1e5e7c0e9c4bc39180d224f41f3f801b7ef")
_SHORT = 150  # characters; a longer answer that does not end as a sentence was cut off
_SENTENCE_END = re.compile(r"[.!?)]\s*$")


class Svamp(EquationTask):
    """The real word problems."""

    name = "svamp"
    cue = "Equation"
    stop = ("\nQ:",)

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads DSS's zip or folder, or a folder or Hub id in the Hub's layout; None is `ChilleD/SVAMP`.

        Environment variables and `~` in `config.source` are expanded.

        Raises:
            DataError: where the data is absent, not in the expected form or less than was asked for.
        """
        rows = _rows(config.source or HUB.id)
        train, test = (
            [_question(f"svamp-{split}-{i}", row["input"], row["label"]) for i, row in enumerate(rows[split])]
            for split in ("train", "test")
        )
        return deal(self.name, PAPER, config, train, test)

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six worked examples of this project's own, then the question."""
        shots = shots or own("svamp.txt")
        return Prompt(question.text, shots.system, shots.examples)

    def _uncued(self, text: str, question: Question) -> Parsed | None:
        """`... Therefore, Luke scored 42 points.` is read by its last number or equation, where finished.

        A statement without a calculation is no rationale.
        """
        text = text.strip()
        if len(text) > _SHORT and not _SENTENCE_END.search(text):
            return None
        found = self._last(text, question)
        if found is None:
            return None
        return found if "=" in text else replace(found, rationale=None)


def _question(id: str, text: str, equation: str) -> Question:
    label = equations.normal(equation)
    if label is None:
        raise DataError(f"{id}: {equation!r} is not an equation; the file is damaged or not SVAMP")
    return Question(id, " ".join(text.split()), label)


def _rows(source: str) -> sources.Rows:
    """Rows with `input` and `label`, by split."""
    return sources.dss(source, "svamp", ("train", "test"), {"input": str, "label": str}) or _hub(source)


def _hub(source: str) -> sources.Rows:
    """Rows in the Hub's layout (ID, Body, Question, Equation), dealt into DSS's splits.

    The Hub's own 700/300 splits are not the paper's. DSS drew 800/200 by a permutation (numpy, seed 0) of the
    original order, which the IDs chal-1 to chal-1000 keep.
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
    import numpy  # not for DSS's files, which have the splits

    rows = [rows[i] for i in numpy.random.RandomState(0).permutation(len(rows))]
    cut = len(rows) * 4 // 5
    return {"train": rows[:cut], "test": rows[cut:]}
