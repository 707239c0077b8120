"""Questions into training, validation and test sets of the sizes that a configuration asks for."""

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
    """Numbers of questions in the paper, or of a data set that it has not."""

    train: int
    validation: int
    test: int
    papers: bool = True


def deal(
    name: str,
    paper: Sizes,
    config: config.Task,
    train: Sequence[Question],
    test: Sequence[Question],
    validation: Sequence[Question] | None = None,
) -> Splits:
    """The three splits; a smaller set is the beginning of a larger one with the same seed.

    Args:
        name: of the task.
        paper: its sizes, of which validation is held out where `validation` is None. That a source has
            fewer than these is said where `config` asks for all.
        config: sizes and the seed of the random order of the training questions.
        train, test: all questions, in the data set's order.
        validation: the same; None holds out the first of the training questions' random order.

    Raises:
        DataError: where there are fewer than `config` asks for.
    """
    train = list(train)
    random.Random(config.seed).shuffle(train)
    if validation is None:
        held = min(config.validation or paper.validation, len(train))
        if held == len(train):
            raise DataError(
                f"task.validation: {held} questions are to be held out of the training questions, of which "
                f"{name} has {len(train)}; ask for fewer"
            )
        train, validation = train[held:], train[:held]
    parts = {"train": train, "validation": validation, "test": test}
    return Splits(**{split: _take(name, paper, config, split, found) for split, found in parts.items()})


def _take(
    name: str, paper: Sizes, config: config.Task, split: str, found: Sequence[Question]
) -> tuple[Question, ...]:
    size, usual = getattr(config, split), getattr(paper, split)
    if len(found) < (size or 1):
        raise DataError(
            f"task.{split}: {size or 1} questions were asked for, {name} has {len(found)} left; ask for "
            "fewer. Sizes that a grid does not say are its preset's, which may be another data set's: "
            f"task.train, task.validation and task.test set to null are {name}'s own ({paper.train}, "
            f"{paper.validation} and {paper.test})"
        )
    if paper.papers and size is None and len(found) < usual:
        log.warning(
            "%s: %d %s questions, of the paper's %d; task.source holds a part of the data set",
            name, len(found), split, usual,
        )  # fmt: skip
    return tuple(found[:size])
