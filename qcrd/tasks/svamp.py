"""SVAMP (Patel et al., 2021): word problems whose labels are equations (section 4.1).

Read either from the archive of Distilling Step-by-Step (DSS), packed or unpacked, or in the Hub's layout;
both give the same questions with the same ids. The 800 training rows are split by `task.seed` into the
paper's 720/80; an id keeps the number of its row in DSS's file, to which recorded answers refer. Gold labels
are taken as they are, also where the data set is known to be wrong (row 195 of the training file).
"""

from __future__ import annotations

import json
import random
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy

from qcrd import config
from qcrd.errors import DataError
from qcrd.places import replaced
from qcrd.tasks import equations
from qcrd.tasks.reading import EquationTask, first_answer, reasoning
from qcrd.tasks.shots import Shots, own
from qcrd.types import Parsed, Prompt, Question, Splits

HUB = "ChilleD/SVAMP"
VALIDATION = 80  # of the 800 training rows: the paper's 720/80
_SHORT = 150  # characters; a longer answer that does not end as a sentence was cut off
_SENTENCE_END = re.compile(r"[.!?)]\s*$")


class Svamp(EquationTask):
    """The real word problems."""

    name = "svamp"
    stop = ("\nQ:",)

    def vocabulary(self) -> None:
        """Natural text has no closed one."""

    def load(self, config: config.Task) -> Splits:
        """Reads DSS's zip or folder, or a folder or Hub id in the Hub's layout; None is `ChilleD/SVAMP`.

        Environment variables and `~` in `config.source` are expanded. Fewer training questions are the first
        of a random order, so that smaller sets are parts of larger ones.

        Raises:
            DataError: where the data is absent, not in the expected form or less than was asked for.
        """
        rows = _rows(config.source or HUB)
        train, test = (
            [_question(f"svamp-{split}-{i}", *row) for i, row in enumerate(rows[split])]
            for split in ("train", "test")
        )
        random.Random(config.seed).shuffle(train)
        held = min(config.validation or VALIDATION, len(train))
        return Splits(
            train=_take(train[held:], config.train, "train"),
            validation=_take(train[:held], config.validation, "validation"),
            test=_take(test, config.test, "test"),
        )

    def prompt(self, question: Question, shots: Shots | None = None) -> Prompt:
        """Instructions and six worked examples of this project's own, then the question."""
        shots = shots or own("svamp.txt")
        return Prompt(question.text, shots.system, shots.examples)

    def parse(self, text: str, question: Question, finish_reason: str = "stop") -> Parsed:
        """As `EquationTask.parse`; a finished answer without a cue is read by its last number or equation."""
        parsed = super().parse(text, question, finish_reason)
        return (_statement(text) or parsed) if parsed.reason == "no cue" else parsed


def _statement(text: str) -> Parsed | None:
    """`... Therefore, Luke scored 42 points.`: None where nothing is stated or the answer was cut off.

    A statement without a calculation is no rationale.
    """
    text = first_answer(text).strip()
    if len(text) > _SHORT and not _SENTENCE_END.search(text):
        return None
    found = [equation for equation, *_ in equations.every(text)]
    if not found or found[-1].value is None:
        return None
    return Parsed(reasoning(text) if "=" in text else None, found[-1].text, str(found[-1].value))


def _question(id: str, text: str, equation: str) -> Question:
    label = equations.normal(equation)
    if label is None:
        raise DataError(f"{id}: {equation!r} is not an equation; the file is damaged or not SVAMP")
    return Question(id, " ".join(text.split()), label)


def _take(questions: list[Question], size: int | None, split: str) -> tuple[Question, ...]:
    if len(questions) < (size or 1):
        raise DataError(
            f"task.{split}: {size or 1} questions were asked for, svamp has {len(questions)} left; ask for "
            "fewer. Sizes that a grid does not say are its preset's, which may be another data set's: "
            "task.train, task.validation and task.test set to null are svamp's own (720, 80 and 200)"
        )
    return tuple(questions[:size])


def _rows(source: str) -> dict[str, list[tuple[str, str]]]:
    """(text, equation) of every row, by split."""
    try:
        path = Path(replaced(source))
    except ValueError as error:
        raise DataError(f"task.source: {error}") from error
    if path.is_dir():
        files = {file.name: file.read_text for file in sorted(path.rglob("svamp_*.json"))}
        return _dss(source, files) if files else _hub(str(path))
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            files = {Path(name).name: _reader(archive, name) for name in archive.namelist()}
            return _dss(source, files)
    if path.exists() or not re.fullmatch(r"[\w.-]+/[\w.-]+", source):
        raise DataError(
            f"task.source: {source!r} is no folder, zip or Hub id; give DSS's datasets.zip, its unpacked "
            f"folder, or a Hub id such as {HUB}"
        )
    return _hub(source)


def _reader(archive: zipfile.ZipFile, name: str) -> Callable[..., str]:
    return lambda encoding: archive.read(name).decode(encoding)


def _dss(source: str, files: dict[str, Callable[..., str]]) -> dict[str, list[tuple[str, str]]]:
    """DSS's JSON lines with `input` and `label`."""
    rows = {}
    for split in ("train", "test"):
        name = f"svamp_{split}.json"
        if name not in files:
            raise DataError(f"task.source: {source!r} has no {name}; give DSS's datasets.zip or its folder")
        try:
            lines = [json.loads(line) for line in files[name]("utf-8").splitlines() if line.strip()]
            rows[split] = [(line["input"], line["label"]) for line in lines]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"task.source: {name} in {source!r} is not DSS's format ({error!r}): one JSON object a line "
                "with `input` and `label`"
            ) from error
    return rows


def _hub(source: str) -> dict[str, list[tuple[str, str]]]:
    """Rows in the Hub's layout (ID, Body, Question, Equation), dealt into DSS's splits.

    The Hub's own 700/300 splits are not the paper's. DSS drew 800/200 by a permutation (numpy, seed 0) of the
    original order, which the IDs chal-1 to chal-1000 keep.
    """
    import datasets

    try:
        loaded = datasets.load_dataset(source)
    except Exception as error:  # the library raises many kinds, of connections and of formats
        raise DataError(
            f"task.source: {source!r} could not be loaded ({type(error).__name__}: {error}); without a "
            "connection give DSS's datasets.zip"
        ) from error
    items = [item for split in loaded.values() for item in split]
    try:
        items.sort(key=lambda item: int(item["ID"].split("-")[-1]))
        rows = [(f"{item['Body']} {item['Question']}", item["Equation"]) for item in items]
    except (ValueError, KeyError, AttributeError) as error:
        raise DataError(
            f"task.source: {source!r} is not in the layout of {HUB} ({error!r}): ID (chal-1, ...), Body, "
            "Question, Equation"
        ) from error
    rows = [rows[i] for i in numpy.random.RandomState(0).permutation(len(rows))]
    cut = len(rows) * 4 // 5
    return {"train": rows[:cut], "test": rows[cut:]}
