"""Scalars that YAML 1.1 reads unexpectedly (octal numbers, base 60, dates), and what to write instead."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import yaml

from qcrd.grid.plan.problems import yaml_text

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"([-+]?)0[0-7_]+")


class Loader(yaml.SafeLoader):
    """Loads plain data only; reads 5e-3 as a number, which YAML 1.1 reads as a string."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class StrictLoader(Loader):
    """Refuses misread numbers and duplicate keys; the error has the line and column of the first one."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The node's value.

        Raises:
            MarkedYAMLError: if it is a number with an unexpected value in YAML.
        """
        value = super().construct_object(node, deep)
        if isinstance(node, yaml.ScalarNode) and (message := misread_number(node, value)):
            raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            MarkedYAMLError: if a key occurs twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} occurs twice; keep one", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


def misread_number(node: yaml.ScalarNode, value: Any) -> str | None:
    """An error message for a number with an unexpected value in YAML (octal, base 60), else None.

    Args:
        node: the value as written.
        value: the value as parsed.
    """
    written = node.value
    if node.tag not in _NUMBERS:
        return None
    if octal := _OCTAL.fullmatch(written):
        meant = f"{octal[1].strip('+')}{written.lstrip('-+0_').replace('_', '') or '0'}"
        number = str(value) if meant == str(value) else f"{meant} or {value}"
        return (
            f"value {written}, which YAML reads as {value} (octal); write {number}, "
            f"or '{written}' for a string"
        )
    if ":" in written:
        return (
            f"value {written}, which YAML reads as {value:g} (base 60); write {value:g}, "
            f"or '{written}' for a string"
        )
    return None


def implicit_conversion(node: yaml.ScalarNode, value: Any) -> str | None:
    """A note on a scalar that YAML converts implicitly (`yes`, `1.10`, a date), for messages; else None."""
    written = node.value
    if isinstance(value, str) or not written or node.style in ("'", '"'):
        return None
    if isinstance(value, date):
        return f"YAML reads {written} as a date; write '{written}' for a string"
    if written == yaml_text(value):
        return None
    return f"YAML reads {written} as {yaml_text(value)}; write '{written}' for a string"
