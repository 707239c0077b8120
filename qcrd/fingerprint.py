"""Canonical JSON, and fingerprints (short ids) computed from it.

A fingerprint is the hash of everything that affects a result. Values without a canonical form are refused,
because falling back to `str(object)` could give two different values the same id.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

LENGTH = 12  # hex digits: 48 bits; one-in-a-million collision probability among 20,000 ids


def canonical(value: Any) -> str:
    """`value` as JSON with sorted keys and no spaces.

    Accepts None, bool, int, finite float, str, list, tuple and dict with string keys.

    Raises:
        TypeError: for other types (paths, sets, objects, keys that are not strings).
        ValueError: for NaN and infinities.
    """
    if not _is_plain(value):
        _check(value, "$")
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """The first 12 hex digits of the SHA-256 of `canonical(value)`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]


def fingerprint_each(values: Iterable[Any]) -> str:
    """`fingerprint(list(values))` without keeping all values in memory."""
    digest = hashlib.sha256(b"[")
    for i, value in enumerate(values):
        digest.update(b"," * (i > 0) + canonical(value).encode())
    digest.update(b"]")
    return digest.hexdigest()[:LENGTH]


def fingerprint_file(path: Path) -> str:
    """The first 12 hex digits of the SHA-256 of a file's bytes."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:LENGTH]


def fingerprint_path(path: Path) -> str:
    """Fingerprint of a file's bytes, or of all files in a folder with their relative names.

    The result is cached per process as long as sizes and modification times are unchanged.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    stats = [(file, file.stat()) for file in files]
    return _content(path, tuple((file, stat.st_size, stat.st_mtime_ns) for file, stat in stats))


@lru_cache(maxsize=64)
def _content(path: Path, stamps: tuple[tuple[Path, int, int], ...]) -> str:
    by_name = {file.relative_to(path).as_posix(): fingerprint_file(file) for file, *_ in stamps}
    return by_name["."] if "." in by_name else fingerprint(by_name)  # ".": `path` itself is a file


def _is_plain(value: Any) -> bool:
    """Whether `_check` would accept the value; faster, because it tracks no position for messages."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or value is None:
        return True
    if kind is float:
        return math.isfinite(value)
    if kind is dict:
        return all(type(key) is str for key in value) and all(map(_is_plain, value.values()))
    return (kind is list or kind is tuple) and all(map(_is_plain, value))


def _check(value: Any, where: str) -> None:
    if value is None or isinstance(value, bool | int | str):
        return
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"{where}: {value} has no canonical form; use None or a finite number")
        return
    if isinstance(value, list | tuple):
        for i, item in enumerate(value):
            _check(item, f"{where}[{i}]")
        return
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where}: key {key!r} is {type(key).__name__}, only strings are canonical")
            _check(item, f"{where}.{key}")
        return
    raise TypeError(
        f"{where}: {type(value).__name__} has no canonical form; "
        "convert it to None, bool, int, float, str, list or dict first"
    )
