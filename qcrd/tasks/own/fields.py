"""What one row has in the fields that a description names, as text.

Lists, objects and messages count as text only where one text is meant; nothing becomes Python source.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from string import ascii_lowercase
from typing import Any

from qcrd import config
from qcrd.errors import DataError, did_you_mean
from qcrd.tasks.choices import normal
from qcrd.tasks.own.formats import Number, Row


class Fault(DataError):
    """A row that cannot be a question; `task.own.drop` says how many may be left out."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of one row."""

    texts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  # what the source calls each of them, () where it has no names
    numbers: bool = False  # whether all of them are numbers, not texts


def value(row: Row, field: str, setting: str) -> Any:
    """What a row has in a field; dots go into nested ones.

    Raises:
        DataError: where there is no such field; says which there are.
    """
    found: Any = row.fields
    for part in field.split("."):
        if not isinstance(found, dict) or part not in found:
            known = list(found) if isinstance(found, dict) else []
            raise DataError(
                f"task.own.{setting}: {row.where} has no field {field!r}; it has: "
                f"{', '.join(known) or 'none'}{did_you_mean(part, known)}"
            )
        found = found[part]
    return found


def one_text(row: Row, field: str, setting: str, *, empty: bool = False) -> str:
    """The one text in a field, as it stands there; a list of one text counts as that text.

    Args:
        row: the row.
        field: the field.
        setting: of `task.own` that names it, for messages.
        empty: whether nothing may be there, which gives "".

    Raises:
        Fault: where there is nothing, or no text.
    """
    found = texts(row, field, setting, empty=empty)
    if len(found) > 1:
        raise Fault(
            f"task.own.{setting}: {row.where} has a list of {len(found)} texts in {field!r}; expected one"
        )
    return found[0] if found else ""


def texts(row: Row, field: str, setting: str, *, empty: bool = False) -> list[str]:
    """The texts in a field: one, or a list of them. As `one_text`."""
    found = value(row, field, setting)
    listed = found if isinstance(found, list) else [found]
    if not empty and (not listed or all(_nothing(each) for each in listed)):
        raise Fault(f"task.own.{setting}: {row.where} has nothing in {field!r}; fill it or leave the row out")
    said = f"task.own.{setting}: {row.where}: field {field!r}"
    return [
        _text(each, said, "a list of " if found is listed else "") for each in listed if not _nothing(each)
    ]


def question(row: Row, field: str) -> str:
    """A part of the question: a text, or the last message of the user in a conversation."""
    found = value(row, field, "question")
    if isinstance(found, list) and found and all(_message(each) for each in found):
        last = next((each["content"] for each in reversed(found) if each["role"] == "user"), None)
        if not isinstance(last, str) or _nothing(last):
            raise Fault(
                f"task.own.question: {row.where} has no message of the user with a text in {field!r}; "
                'expected one with role "user" and a text as its content'
            )
        text = _text(last, f"task.own.question: {row.where}: field {field!r}")
    else:
        text = one_text(row, field, "question")
    return text.replace("\r\n", "\n").strip()


def line(text: str) -> str:
    """`text` with single spaces, in one line."""
    return " ".join(text.split())


def choices(own: config.Own, row: Row) -> Choices:
    """The choices of a row, and their names where the source has some.

    The field holds a list of texts, to which a list of names may stand parallel (`own.keys`; ARC's `label`
    beside `text` is found); an object of name and text; or a list of objects with `label` and `text`.

    Raises:
        Fault: where they are fewer than two, more than letters, or two of them are nothing or the same.
    """
    if own.choices is None:
        return Choices()
    if not isinstance(own.choices, str):
        return _same_for_all(own.choices)
    found = value(row, own.choices, "choices")
    said = f"task.own.choices: {row.where}: field {own.choices!r}"
    listed, keys = _parallel(found)
    if own.keys is not None:
        keys = value(row, own.keys, "keys")
    elif keys is None and own.choices.rpartition(".")[2] == "text":
        beside = value(row, own.choices.rpartition(".")[0], "choices") if "." in own.choices else {}
        keys = beside.get("label")
    if not isinstance(listed, list) or len(listed) < 2:
        raise Fault(f"{said} has {_said(found)}; expected a list of at least two texts")
    if len(listed) > len(ascii_lowercase):
        raise Fault(f"{said} has {len(listed)} choices; allowed: up to {len(ascii_lowercase)}, a letter each")
    for number, each in enumerate(listed):
        if _nothing(each):
            raise Fault(f"{said} has nothing as its choice {number} (from 0); fill it or leave the row out")
    shown = tuple(line(_text(each, said, "a list of ")) for each in listed)
    _told_apart(shown, said)
    return Choices(shown, _keys(keys, shown, own, row), all(isinstance(each, Number) for each in listed))


@lru_cache(maxsize=8)
def _same_for_all(labels: tuple[str, ...]) -> Choices:
    try:
        _told_apart(labels, "task.own.choices")
    except Fault as fault:
        raise DataError(str(fault)) from None
    return Choices(labels)


def _parallel(found: Any) -> tuple[Any, Any]:
    """The choices, and the list of their names or None."""
    if isinstance(found, dict):
        if isinstance(found.get("text"), list):
            return found["text"], found.get("label")
        there = {name: text for name, text in found.items() if text is not None}  # columns may be filled up
        return list(there.values()), list(there)
    named = isinstance(found, list) and all(
        isinstance(each, dict) and each.keys() >= {"text", "label"} for each in found
    )
    if named and found:
        return [each["text"] for each in found], [each["label"] for each in found]
    return found, None


def _keys(keys: Any, shown: Sequence[str], own: config.Own, row: Row) -> tuple[str, ...]:
    if keys is None:
        return ()
    said = f"task.own.keys: {row.where}"
    if not isinstance(keys, list) or len(keys) != len(shown):
        raise Fault(f"{said} has {_said(keys)} beside {len(shown)} choices; expected a name for each of them")
    found = tuple(line(_text(key, said, "a list of ")) for key in keys)
    if len(set(found)) < len(found) or not all(found):
        raise Fault(f"{said} has {_said(keys)}; expected names that differ")
    return found


def _told_apart(shown: Sequence[str], said: str) -> None:
    seen: dict[str, str] = {}
    for text in shown:
        form = normal(text)
        if form in seen:
            raise Fault(f"{said} has {seen[form]!r} and {text!r}, which count as the same answer; mend one")
        seen[form] = text


def _message(found: Any) -> bool:
    return isinstance(found, dict) and found.keys() >= {"role", "content"}


def _nothing(found: Any) -> bool:
    return found is None or (isinstance(found, str) and not found.strip()) or found in ([], {})


def _text(found: Any, said: str, of: str = "") -> str:
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str):
        raise Fault(f"{said} has {of}{_said(found)}; name a field that holds a text")
    try:
        found.encode()
    except UnicodeEncodeError as error:
        raise Fault(
            f"{said} has half a character ({found[error.start]!a}) in its text; mend it or leave the row out"
        ) from error
    return str(found)


def _said(found: Any) -> str:
    """For messages: what something is, and how it looks."""
    if isinstance(found, dict):
        return f"an object with {', '.join(map(str, found)) or 'nothing in it'}"
    if isinstance(found, list):
        return f"a list of {len(found)}" + (f", of {_said(found[0])}" if found else "")
    if isinstance(found, str):
        return f"the text {found[:60]!r}"
    return "null" if found is None else f"a value of type {type(found).__name__}"
