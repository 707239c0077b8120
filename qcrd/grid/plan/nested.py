"""Values in nested mappings, by their location."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qcrd.errors import ConfigError
from qcrd.grid.plan.problems import Where, yaml_text


def get(data: Any, where: Sequence[str | int]) -> Any:
    """The value, or None."""
    for part in where:
        data = data.get(part) if _mapping(data) else None
    return data


def put(data: dict[str, Any], where: Sequence[str | int], value: Any) -> bool:
    """Put a value into nested mappings, unless another value is there; returns whether it was put."""
    *above, last = map(str, where)
    for part in above:
        data = data.setdefault(part, {})
        if not _mapping(data):
            return False
    there = data.get(last, {})
    if last in data and not (_mapping(there) and _mapping(value) and there.keys().isdisjoint(value)):
        return False
    data[last] = {**there, **value} if there else value
    return True


def replace_value(data: dict[str, Any], where: Where, value: Any, option: str) -> None:
    """Replace a value in nested mappings; null above it counts as an empty mapping.

    Raises:
        ConfigError: if a value above it is not a mapping.
    """
    for end, part in enumerate(where[:-1], 1):
        if data.get(str(part)) is None:
            data[str(part)] = {}
        data = data[str(part)]
        if not _mapping(data):
            above = ".".join(map(str, where[:end]))
            raise ConfigError(
                f"{option}: {above} has the value {yaml_text(data)}, so there is nothing below it to set; "
                f"allowed: --set {above}=VALUE"
            )
    data[str(where[-1])] = value


def delete(data: Any, where: Where) -> None:
    """Delete a value from nested mappings, or a value above it that is not a mapping."""
    for end, part in enumerate(where, 1):
        if not _mapping(data) or part not in data:
            return
        if end == len(where) or not _mapping(data[part]):
            data.pop(part)
            return
        data = data[part]


def _mapping(value: Any) -> bool:
    return isinstance(value, dict)
