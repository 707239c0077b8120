"""One line of `qcrd doctor`: the name of the check, its result, and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from qcrd.errors import QcrdError


@dataclass(frozen=True, slots=True)
class Check:
    """Result of one check."""

    name: str
    state: Literal["ok", "warning", "error"]  # error: a run would fail, or others could get access
    found: str  # what the check observed
    remedy: str = ""  # "" if the state is "ok"


def ok(name: str, found: str) -> Check:
    """A check that passed."""
    return Check(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Check:
    """Runs work, but slower or less safely than they could."""
    return Check(name, "warning", found, remedy)


def error(name: str, found: str, remedy: str) -> Check:
    """A run would fail, or others could get access."""
    return Check(name, "error", found, remedy)


def from_error(name: str, trouble: QcrdError) -> Check:
    """Convert a QcrdError; its message has the form "problem; remedy"."""
    message = str(trouble)
    if "\n" in message:
        return error(name, message, "fix each of these lines")
    found, _, remedy = message.partition("; ")
    return error(name, found, remedy or "fix this, then run `qcrd doctor` again")


Look = Callable[[], Iterable[Check]]
"""Performs related checks; an exception that it raises becomes an error of its own."""


def run_checks(looks: Iterable[tuple[str, Look]]) -> Iterator[Check]:
    """Run all checks; a check that raises is reported as an error, and the remaining ones still run.

    Args:
        looks: name and function of each.
    """
    for name, look in looks:
        try:
            yield from look()
        except QcrdError as trouble:
            yield from_error(name, trouble)
        except Exception as trouble:  # broken installations raise arbitrary exceptions
            yield error(name, f"{type(trouble).__name__}: {trouble}", "unexpected error; see the message")
