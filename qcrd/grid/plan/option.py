"""A setting from the command line, KEY=VALUE: where the grid has it, and its value as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import yaml

from qcrd.config import Grid
from qcrd.grid.plan.factors import dotted_path, sections
from qcrd.grid.plan.problems import Where


def location(key: str) -> Where:
    """Where the grid has the setting that the command line calls `key`."""
    section, _, rest = key.partition(".")
    if section not in Grid.model_fields:
        return ("base", *dotted_path(key).split("."))
    if section == "presets" and "." in rest:
        name, _, setting = rest.partition(".")
        return (section, name, *location(setting))
    if section == "base" and rest:
        return ("base", *dotted_path(rest).split("."))
    if section in ("sweep", "product") and rest:
        return section, dotted_path(rest)
    if section == "variants" and "." in rest:
        name, _, setting = rest.partition(".")
        return section, name, dotted_path(setting)
    return tuple(key.split("."))


def nested_yaml(where: Where, text: str) -> str:
    """A YAML mapping with only the value `text` at `where`."""
    keys = [f"{'  ' * depth}{json.dumps(part, ensure_ascii=False)}:" for depth, part in enumerate(where)]
    return "\n".join(keys) + f" {text}"


def comment(text: str) -> str:
    """What YAML takes for a comment at the end of a line; "" if there is none."""
    ends = [t.end_mark.index for t in yaml.scan(text) if not isinstance(t, yaml.StreamEndToken)]
    return text[max(ends) :].strip()


def changed_values(data: Any, target: Where, where: Where = ()) -> Iterator[tuple[Where, Any]]:
    """The values in a mapping that only a change of `target` filled; those of a section one by one."""
    inside = where[2:] if where[:1] == ("presets",) else where
    section = inside[:1] == ("base",) and ".".join(map(str, inside[1:])) in sections()
    if isinstance(data, dict) and (len(where) < len(target) or section):
        for key, value in data.items():
            yield from changed_values(value, target, (*where, key))
    else:
        yield where, data
