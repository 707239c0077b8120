"""Errors that a user can act on; the CLI prints only their message, without a traceback."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class QcrdError(Exception):
    """An error that the user can fix; the message says what is wrong and what to do."""


class ConfigError(QcrdError):
    """An invalid configuration; the message names file, line, field, value and the allowed values."""


class StoreError(QcrdError):
    """A store that cannot be read or written."""


class DamagedResult(StoreError):
    """A finished cell whose record or predictions are corrupted."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} is damaged: it is torn, or does not fit its checksum; `qcrd run` of a grid with this "
            "cell trains it again, to the same figures"
        )


class DataError(QcrdError):
    """A data set that is missing or not in the expected format."""


class OutOfMemory(QcrdError):
    """Not enough memory; a retry would fail in the same way."""


class Diverged(QcrdError):
    """Training has diverged: the loss or another value is NaN or infinite.

    Attributes:
        step: optimiser step (1-based) at which it was detected.
        question_ids: ids of the questions in that batch.
    """

    def __init__(
        self,
        step: int,
        question_ids: list[str],
        what: str = "loss is",
        remedy: str = "lower training.lr or contrastive.beta, or set training.clip",
    ):
        batch = f" (questions {', '.join(question_ids[:4])}, ...)" if question_ids else ""
        super().__init__(f"{what} not finite at step {step}{batch}; {remedy}")
        self.step = step
        self.question_ids = question_ids


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """End of a message that suggests the closest known word, whatever its case; "" if none is close."""
    by_lower = {name.lower(): name for name in known}
    return meant([by_lower[name] for name in difflib.get_close_matches(word.lower(), by_lower, n=1)])


def meant(words: list[str]) -> str:
    """`; did you mean 'a' or 'b'?`; "" without words."""
    return f"; did you mean {' or '.join(map(repr, words))}?" if words else ""
