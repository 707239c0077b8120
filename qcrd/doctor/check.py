"""One line of `qcrd doctor`: what was looked at, how it stands, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from qcrd.errors import QcrdError


@dataclass(frozen=True, slots=True)
class Check:
    """What one look found."""

    name: str
    state: Literal["ok", "warning", "error"]  # an error: a run would fail, or somebody could get in
    found: str
    remedy: str = ""  # "" where all is well


def ok(name: str, found: str) -> Check:
    """Nothing to do."""
    return Check(name, "ok", found)


def warning(name: str, found: str, remedy: str) -> Check:
    """Runs work, but not as well or as safely as they could."""
    return Check(name, "warning", found, remedy)


def error(name: str, found: str, remedy: str) -> Check:
    """A run would fail, or strangers could get in."""
    return Check(name, "error", found, remedy)


def told(name: str, trouble: QcrdError) -> Check:
    """An error of the project's own, which says what is wrong and, after a semicolon, what to do."""
    message = str(trouble)
    if "\n" in message:
        return error(name, message, "mend each line as it says")
    found, _, remedy = message.partition("; ")
    return error(name, found, remedy or "mend what it says, then ask again")


Look = Callable[[], Iterable[Check]]
"""Looks at something; may raise what it does not know how to judge."""


def examined(looks: Iterable[tuple[str, Look]]) -> Iterator[Check]:
    """The findings of each look; one that fails is a finding itself, and the others go on.

    Args:
        looks: name and function of each.
    """
    for name, look in looks:
        try:
            yield from look()
        except QcrdError as trouble:
            yield told(name, trouble)
        except Exception as trouble:  # the doctor is called where things are broken
            yield error(
                name, f"{type(trouble).__name__}: {trouble}", "unexpected; the message is all there is"
            )
