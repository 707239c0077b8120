"""Split questions into training, validation and test sets of the configured sizes."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from qcrd import config
from qcrd.errors import DataError
from qcrd.types import Question, Splits

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sizes:
    """Sizes of a data set's splits."""

    train: int
    validation: int
    test: int
    papers: bool = True  # whether these are the sizes in the paper


def deal(
    name: str,
    paper: Sizes,
    config: config.Task,
    train: Sequence[Question],
    test: Sequence[Question],
    validation: Sequence[Question] | None = None,
) -> Splits:
    """Build the three splits; with the same seed, a smaller split is a prefix of a larger one.

    Args:
        name: name of the task.
        paper: default sizes. A warning is logged if `config` requests all questions and there are fewer.
        config: sizes, and the seed that shuffles the training questions.
        train, test: all questions, in the data set's order.
        validation: the same; None holds out the first of the shuffled training questions.

    Raises:
        DataError: if there are fewer questions than `config` requests.
    """
    train = list(train)
    random.Random(config.seed).shuffle(train)
    if validation is None:
        held = min(config.validation or paper.validation, len(train))
        if held == len(train):
            raise DataError(
                f"task.validation: {held} questions are to be held out of the training questions, of which "
                f"{name} has {len(train)}; ask for fewer"
                if train
                else f"task.test: no question of {name} is left for training; ask for fewer test questions"
            )
        train, validation = train[held:], train[:held]
    parts = {"train": train, "validation": validation, "test": test}
    return Splits(**{split: _take(name, paper, config, split, part) for split, part in parts.items()})


def _take(
    name: str, paper: Sizes, config: config.Task, split: str, questions: Sequence[Question]
) -> tuple[Question, ...]:
    size, usual = getattr(config, split), getattr(paper, split)
    if len(questions) < (size or 1):
        raise DataError(
            f"task.{split}: {size or 1} questions were asked for, {name} has {len(questions)} left; ask for "
            "fewer. Sizes that a grid does not say are its preset's, which may be another data set's: "
            f"task.train, task.validation and task.test set to null are {name}'s own ({paper.train}, "
            f"{paper.validation} and {paper.test})"
        )
    if paper.papers and size is None and len(questions) < usual:
        log.warning(
            "%s: %d %s questions, of the paper's %d; task.source holds a part of the data set",
            name, len(questions), split, usual,
        )  # fmt: skip
    return tuple(questions[:size])
