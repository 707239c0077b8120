"""Single values in YAML 1.1 that mean something else than they look, and what to write instead."""

from __future__ import annotations

import re
from datetime import date
from typing import Any

import yaml

from qcrd.grid.plan.problems import shown

_NUMBERS = ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float")
_OCTAL = re.compile(r"([-+]?)0[0-7_]+")


class Loader(yaml.SafeLoader):
    """Plain data only; reads 5e-3 as a number, which YAML 1.1 takes for text."""


Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


class Strict(Loader):
    """Refuses what is misread and keys that are there twice, with line and column of the first."""

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """The node's value.

        Raises:
            MarkedYAMLError: if nobody reads it as YAML does.
        """
        value = super().construct_object(node, deep)
        if isinstance(node, yaml.ScalarNode) and (message := misread(node, value)):
            raise yaml.MarkedYAMLError(problem=message, problem_mark=node.start_mark)
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """The mapping of a node.

        Raises:
            MarkedYAMLError: if a key is there twice.
        """
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise yaml.MarkedYAMLError(
                    problem=f"{key.value} is there twice; keep one", problem_mark=key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else "")
        return super().construct_mapping(node, deep)


def misread(node: yaml.ScalarNode, value: Any) -> str | None:
    """What is wrong with a number that nobody reads as YAML does; None where nothing is.

    Args:
        node: the value as written.
        value: as YAML reads it.
    """
    written = node.value
    if node.tag not in _NUMBERS:
        return None
    if octal := _OCTAL.fullmatch(written):
        meant = f"{octal[1].strip('+')}{written.lstrip('-+0_').replace('_', '') or '0'}"
        number = str(value) if meant == str(value) else f"{meant} or {value}"
        return (
            f"value {written}, which YAML reads as {value} (octal); write {number}, or '{written}' for a text"
        )
    if ":" in written:
        return _said(written, f"{value:g} (base 60)", f"{value:g}")
    return None


def reading(node: yaml.ScalarNode, value: Any) -> str | None:
    """How YAML reads what looks otherwise (`yes`, `1.10`, a date), for messages about it; else None."""
    written = node.value
    if isinstance(value, str) or not written or node.style in ("'", '"'):
        return None
    if isinstance(value, date):
        return f"YAML reads {written} as a date; write '{written}' for a text"
    if written == shown(value):
        return None
    return f"YAML reads {written} as {shown(value)}; write '{written}' for a text"


def _said(written: str, read: str, number: str) -> str:
    return f"value {written}, which YAML reads as {read}; write {number}, or '{written}' for a text"
