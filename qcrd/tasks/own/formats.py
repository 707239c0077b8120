"""Reads the rows of a file in JSON, JSON lines, CSV, TSV or Parquet with verbatim values.

Texts are not converted (`007`, `NA`, `1960-07-20`), and JSON numbers keep their digits (`2.50`). Errors name
the line and column, with the message of the standard library.
"""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from qcrd.errors import DataError


class Number(str):
    """A number with the digits of the file."""

    __slots__ = ()

    @property
    def whole(self) -> bool:
        """Whether it is an integer."""
        return self.removeprefix("-").isdecimal()


@dataclass(frozen=True, slots=True)
class Row:
    """One row: its fields and its position."""

    unit: str  # "train.jsonl, line"
    number: int  # line (from 1) or row (from 0)
    fields: dict[str, Any]

    @property
    def where(self) -> str:
        """For messages: `train.jsonl, line 7`."""
        return f"{self.unit} {self.number}"


def read(name: str, suffix: str, content: bytes) -> list[Row]:
    """Read the rows of a file.

    Args:
        name: name of the file, for messages.
        suffix: key of `READERS`.
        content: content of the file.

    Raises:
        DataError: if it cannot be parsed; the message names line and column.
    """
    return READERS[suffix](name, content)


def rows_of_objects(unit: str, objects: Sequence[dict[str, Any]], first: int = 0) -> list[Row]:
    """Rows of Python objects with typed values, as returned by a library."""
    return [Row(unit, i, {key: as_written(v) for key, v in o.items()}) for i, o in enumerate(objects, first)]


def as_written(value: Any) -> Any:
    """Convert a typed value to its form in a text file; other types are returned unchanged.

    Floats without a fraction become integers, since tables store integer columns with missing values as
    floats. NaN becomes None.
    """
    if isinstance(value, dict):
        return {key: as_written(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [as_written(inner) for inner in value]
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, float):
        if math.isnan(value):
            return None
        return Number(int(value) if value.is_integer() else repr(value))
    if isinstance(value, int):
        return Number(value)
    if isinstance(value, Decimal):
        return Number(format(value, "f"))
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value


def _text(name: str, content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if content[:2] in (b"\xff\xfe", b"\xfe\xff"):
            raise DataError(f"task.source: {name} is UTF-16; save it as UTF-8") from error
        before = error.object[: error.start]
        line, start = before.count(b"\n") + 1, before.rfind(b"\n") + 1
        column = len(before[start:].decode("utf-8")) + 1
        raise DataError(
            f"task.source: {name}, line {line}, column {column}: the byte 0x{error.object[error.start]:02x} "
            f"is not valid UTF-8 ({error.reason}); save the file as UTF-8"
        ) from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) < len(pairs):
        keys = [key for key, _ in pairs]
        duplicate = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {duplicate!r} is there twice in the object that begins with {pairs[0]!r}")
    return content


def _refuse_constant(word: str) -> Any:
    raise ValueError(f"{word} is not valid in JSON; write null for a missing value")


_JSON = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_float=Number, parse_int=Number, parse_constant=_refuse_constant
)


def _decoded(name: str, text: str, line: int | None = None) -> Any:
    """Parse the JSON text of a file, or of one line of it."""
    try:
        return _JSON.decode(text)
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise DataError(f"task.source: {name}, {where}: not JSON ({error.msg})") from error
    except (ValueError, RecursionError) as error:
        where = f", line {line}" if line else ""
        raise DataError(f"task.source: {name}{where}: {error}") from error


def _json_lines(name: str, content: bytes) -> list[Row]:
    return _lines(name, _text(name, content))


def _lines(name: str, text: str) -> list[Row]:
    objects = []
    # Not splitlines: JSON texts may contain unescaped characters such as U+2028.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            value = _decoded(name, line, number)
            if not isinstance(value, dict):
                raise DataError(
                    f"task.source: {name}, line {number}: {_kind(value)}; expected one JSON object per line"
                )
            objects.append((number, value))
    return _filled(f"{name}, line", objects)


def _json(name: str, content: bytes) -> list[Row]:
    """A list of objects, an object that contains exactly one such list, or JSON lines."""
    text = _text(name, content)
    first, _, remainder = text.strip().partition("\n")
    if first.startswith("{") and first.rstrip().endswith("}") and remainder:
        return _lines(name, text)
    value = _decoded(name, text)
    if isinstance(value, dict):
        lists = {key: inner for key, inner in value.items() if _is_object_list(inner)}
        if len(lists) > 1:
            raise DataError(
                f"task.source: {name} has several lists of objects ({', '.join(lists)}); expected one"
            )
        value = next(iter(lists.values()), value)
    if not isinstance(value, list):
        raise DataError(
            f"task.source: {name} holds {_kind(value)}; expected a list of objects, an object with one such "
            "list, or one object per line"
        )
    for number, row in enumerate(value):
        if not isinstance(row, dict):
            raise DataError(f"task.source: {name}, row {number}: {_kind(row)}; expected a JSON object")
    return _filled(f"{name}, row", list(enumerate(value)))


def _filled(unit: str, objects: Sequence[tuple[int, dict[str, Any]]]) -> list[Row]:
    """Rows that all have the same fields, with None for missing ones."""
    defaults = dict.fromkeys(key for _, fields in objects for key in fields)
    return [Row(unit, number, {**defaults, **fields}) for number, fields in objects]


def _is_object_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "a number"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), type(value).__name__)


def _csv(name: str, content: bytes, delimiter: str = ",") -> list[Row]:
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))  # the default limit is too short for long texts
    lines = csv.reader(io.StringIO(_text(name, content), newline=""), delimiter=delimiter, strict=True)
    rows, header = [], None
    for line, cells in _records(name, lines):
        if header is None:
            header = cells
            if len(set(header)) < len(header):
                duplicate = next(cell for cell in header if header.count(cell) > 1)
                raise DataError(
                    f"task.source: {name}, line {line}: the column {duplicate!r} is there twice; rename one"
                )
        elif len(cells) != len(header):
            raise DataError(
                f"task.source: {name}, line {line} has {len(cells)} fields, the header {len(header)} "
                f"({', '.join(header)}); put double quotes around fields with a "
                f"{'tab' if delimiter != ',' else 'comma'}"
            )
        else:
            rows.append(Row(f"{name}, line", line, dict(zip(header, cells, strict=True))))
    return rows


def _records(name: str, lines: Any) -> Iterator[tuple[int, list[str]]]:
    """The non-blank records of a `csv.reader`, with their first lines."""
    while True:
        line = lines.line_num + 1
        try:
            cells = next(lines, None)
        except csv.Error as error:
            raise DataError(
                f"task.source: {name}, line {line}: not CSV ({error}); double the quotes within a quoted "
                'field: ""'
            ) from error
        if cells is None:
            return
        if cells:
            yield line, cells


def _tsv(name: str, content: bytes) -> list[Row]:
    return _csv(name, content, "\t")


def _parquet(name: str, content: bytes) -> list[Row]:
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.ParquetFile(io.BytesIO(content)).read()
    except (pyarrow.ArrowException, OSError) as error:
        raise DataError(f"task.source: {name} is not a complete Parquet file ({error})") from error
    names = table.column_names
    if len(set(names)) < len(names):
        duplicate = next(column for column in names if names.count(column) > 1)
        raise DataError(f"task.source: {name}: the column {duplicate!r} is there twice; rename one")
    return rows_of_objects(f"{name}, row", table.to_pylist())


READERS: dict[str, Callable[[str, bytes], list[Row]]] = {
    ".jsonl": _json_lines,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
    ".tsv": _tsv,
}
"""Readers by file suffix."""
