"""The errors a user can act on; the CLI prints their message alone, without a traceback."""

import difflib
from collections.abc import Iterable
from pathlib import Path


class QcrdError(Exception):
    """Something the user can mend; the message says what is wrong and what to do."""


class ConfigError(QcrdError):
    """A configuration that cannot be run; names file, line, field, value and what is allowed."""


class StoreError(QcrdError):
    """A store that cannot be read or written."""


class DamagedResult(StoreError):
    """A finished cell's record or answers that are not as they were written."""

    def __init__(self, path: Path):
        super().__init__(
            f"{path} is damaged: it is torn, or does not fit its checksum; `qcrd run` of a grid with this "
            "cell trains it again, to the same figures"
        )


class DataError(QcrdError):
    """A data set that is absent or not in the expected form."""


class OutOfMemory(QcrdError):
    """Work that needs more memory than there is; doing it again would end the same way."""


class Diverged(QcrdError):
    """A training in which something is no longer a number.

    Attributes:
        step: optimiser step (1-based) at which it was seen.
        question_ids: the questions of that batch.
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
    """The nearest of the known words as the end of a message, or nothing."""
    return meant(difflib.get_close_matches(word, list(known), n=1))


def meant(words: list[str]) -> str:
    """`; did you mean 'a' or 'b'?`, or nothing without words."""
    return f"; did you mean {' or '.join(map(repr, words))}?" if words else ""
