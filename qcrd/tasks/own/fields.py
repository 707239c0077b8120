"""Extraction of texts and choices from the fields of a row.

Lists, objects and messages are only accepted where their text is unambiguous; values are never formatted as
Python source.
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


class InvalidRow(DataError):
    """A row that cannot be used as a question; `task.own.drop` is the share of rows that may be dropped."""


@dataclass(frozen=True, slots=True)
class Choices:
    """The choices of one row."""

    texts: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()  # names of the choices in the source; () for none
    numbers: bool = False  # whether all choices are numbers


def value(row: Row, field: str, setting: str) -> Any:
    """Value of a field; dots separate the names of nested fields.

    Raises:
        DataError: if there is no such field; the message lists the fields.
    """
    current: Any = row.fields
    for part in field.split("."):
        if not isinstance(current, dict) or part not in current:
            names = list(current) if isinstance(current, dict) else []
            raise DataError(
                f"task.own.{setting}: {row.where} has no field {field!r}; it has: "
                f"{', '.join(names) or 'none'}{did_you_mean(part, names)}"
            )
        current = current[part]
    return current


def one_text(row: Row, field: str, setting: str, *, empty: bool = False) -> str:
    """The single text in a field, verbatim; a list of one text is accepted.

    Args:
        row: the row.
        field: name of the field.
        setting: setting of `task.own` that names the field, for messages.
        empty: whether the field may be empty, which gives "".

    Raises:
        InvalidRow: if the field is empty, has several texts or something other than text.
    """
    values = texts(row, field, setting, empty=empty)
    if len(values) > 1:
        raise InvalidRow(
            f"task.own.{setting}: {row.where} has a list of {len(values)} texts in {field!r}; expected one"
        )
    return values[0] if values else ""


def texts(row: Row, field: str, setting: str, *, empty: bool = False) -> list[str]:
    """The texts in a field, which holds a text or a list of texts. Arguments and errors as for `one_text`."""
    content = value(row, field, setting)
    values = content if isinstance(content, list) else [content]
    if not empty and (not values or all(_is_empty(item) for item in values)):
        raise InvalidRow(
            f"task.own.{setting}: {row.where} has nothing in {field!r}; fill it or leave the row out"
        )
    where = f"task.own.{setting}: {row.where}: field {field!r}"
    return [
        _text(item, where, "a list of " if content is values else "")
        for item in values
        if not _is_empty(item)
    ]


def question(row: Row, field: str) -> str:
    """Text of a field of the question; for a conversation, its last user message."""
    content = value(row, field, "question")
    if isinstance(content, list) and content and all(_is_message(item) for item in content):
        last = next((item["content"] for item in reversed(content) if item["role"] == "user"), None)
        if not isinstance(last, str) or _is_empty(last):
            raise InvalidRow(
                f"task.own.question: {row.where} has no message of the user with a text in {field!r}; "
                'expected one with role "user" and a text as its content'
            )
        text = _text(last, f"task.own.question: {row.where}: field {field!r}")
    else:
        text = one_text(row, field, "question")
    return text.replace("\r\n", "\n").strip()


def line(text: str) -> str:
    """`text` on one line with single spaces."""
    return " ".join(text.split())


def choices(own: config.Own, row: Row) -> Choices:
    """The choices of a row, and their names if the source has any.

    The field holds one of: a list of texts, with an optional parallel list of names (`own.keys`, or `label`
    beside `text` as in ARC); an object from names to texts; a list of objects with `label` and `text`.

    Raises:
        InvalidRow: if there are fewer than 2 or more than 26 choices, or choices that are empty or equal.
    """
    if own.choices is None:
        return Choices()
    if not isinstance(own.choices, str):
        return _fixed_choices(own.choices)
    content = value(row, own.choices, "choices")
    where = f"task.own.choices: {row.where}: field {own.choices!r}"
    items, keys = _items_and_keys(content)
    if own.keys is not None:
        keys = value(row, own.keys, "keys")
    elif keys is None and own.choices.rpartition(".")[2] == "text":
        parent = value(row, own.choices.rpartition(".")[0], "choices") if "." in own.choices else {}
        keys = parent.get("label")
    if not isinstance(items, list) or len(items) < 2:
        raise InvalidRow(f"{where} has {_describe(content)}; expected a list of at least two texts")
    if len(items) > len(ascii_lowercase):
        raise InvalidRow(
            f"{where} has {len(items)} choices; allowed: up to {len(ascii_lowercase)}, a letter each"
        )
    for number, item in enumerate(items):
        if _is_empty(item):
            raise InvalidRow(
                f"{where} has nothing as its choice {number} (from 0); fill it or leave the row out"
            )
    choice_texts = tuple(line(_text(item, where, "a list of ")) for item in items)
    _check_distinct(choice_texts, where)
    numbers = all(isinstance(item, Number) for item in items)
    return Choices(choice_texts, _keys(keys, len(items), row), numbers)


@lru_cache(maxsize=8)
def _fixed_choices(labels: tuple[str, ...]) -> Choices:
    """Choices that are the same for all rows."""
    try:
        _check_distinct(labels, "task.own.choices")
    except InvalidRow as error:
        raise DataError(str(error)) from None
    return Choices(labels)


def _items_and_keys(content: Any) -> tuple[Any, Any]:
    """The choices, and the list of their names or None."""
    if isinstance(content, dict):
        if isinstance(content.get("text"), list):
            return content["text"], content.get("label")
        # Parquet files fill missing keys with null.
        present = {name: text for name, text in content.items() if text is not None}
        return list(present.values()), list(present)
    named = isinstance(content, list) and all(
        isinstance(item, dict) and item.keys() >= {"text", "label"} for item in content
    )
    if named and content:
        return [item["text"] for item in content], [item["label"] for item in content]
    return content, None


def _keys(keys: Any, count: int, row: Row) -> tuple[str, ...]:
    """The names of `count` choices, checked."""
    if keys is None:
        return ()
    where = f"task.own.keys: {row.where}"
    if not isinstance(keys, list) or len(keys) != count:
        raise InvalidRow(
            f"{where} has {_describe(keys)} beside {count} choices; expected a name for each of them"
        )
    names = tuple(line(_text(key, where, "a list of ")) for key in keys)
    if len(set(names)) < len(names) or not all(names):
        raise InvalidRow(f"{where} has {_describe(keys)}; expected names that differ")
    return names


def _check_distinct(choice_texts: Sequence[str], where: str) -> None:
    seen: dict[str, str] = {}
    for text in choice_texts:
        form = normal(text)
        if form in seen:
            raise InvalidRow(
                f"{where} has {seen[form]!r} and {text!r}, which count as the same answer; change one"
            )
        seen[form] = text


def _is_message(item: Any) -> bool:
    return isinstance(item, dict) and item.keys() >= {"role", "content"}


def _is_empty(item: Any) -> bool:
    return item is None or (isinstance(item, str) and not item.strip()) or item in ([], {})


def _text(item: Any, where: str, container: str = "") -> str:
    """`item` as text.

    Args:
        item: a value of a field.
        where: row and field, for messages.
        container: prefix of the description in messages, such as "a list of ".

    Raises:
        InvalidRow: if it is not a text, number or boolean, or not valid Unicode.
    """
    if isinstance(item, bool):
        return "true" if item else "false"
    if not isinstance(item, str):
        raise InvalidRow(f"{where} has {container}{_describe(item)}; name a field that holds a text")
    try:
        item.encode()
    except UnicodeEncodeError as error:
        raise InvalidRow(
            f"{where} has half a surrogate pair ({item[error.start]!a}) in its text; "
            "correct it or leave the row out"
        ) from error
    return str(item)


def _describe(item: Any) -> str:
    """Description of a value for messages."""
    if isinstance(item, dict):
        return f"an object with {', '.join(map(str, item)) or 'nothing in it'}"
    if isinstance(item, list):
        return f"a list of {len(item)}" + (f", of {_describe(item[0])}" if item else "")
    if isinstance(item, str):
        return f"the text {item[:60]!r}"
    return "null" if item is None else f"a value of type {type(item).__name__}"
