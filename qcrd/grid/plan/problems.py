"""Problems in a grid's settings: their location, and messages that name the allowed values."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from qcrd.config import Cell, Options, Section
from qcrd.errors import ConfigError, did_you_mean
from qcrd.grid.plan.factors import ALIASES

Where = tuple[str | int, ...]
"""A location in a grid's YAML: ("base", "training", "lr"), ("sweep", "contrastive.beta", 2)."""


@dataclass(frozen=True, slots=True)
class Problem:
    """An invalid value, and its location."""

    where: Where
    message: str  # without the field's name

    def __str__(self) -> str:
        field = ".".join(part for part in self.where if isinstance(part, str))
        return f"{field}: {self.message}" if field else self.message


class GridProblems(ConfigError):
    """All problems in a grid, in the order in which they were found."""

    def __init__(self, problems: Iterable[Problem]):
        self.problems = list(problems)
        super().__init__("\n".join(map(str, self.problems)))


_ALLOWED = {
    "greater_than_equal": "numbers from {ge:g} up",
    "greater_than": "numbers above {gt:g}",
    "less_than_equal": "numbers up to {le:g}",
    "less_than": "numbers below {lt:g}",
    "literal_error": "{expected}",
    "int_type": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "string_type": "text",
    "list_type": "a list, also for a single value: [value]",
    "dict_type": "a mapping (name: value)",
    "model_type": "a mapping of settings (name: value); leave the section out to take its defaults",
    "string_pattern_mismatch": "lower-case letters, digits, - and _, beginning with a letter or digit",
}


def validation_message(error: ErrorDetails, model: type[BaseModel]) -> str:
    """The message for one entry of a pydantic ValidationError of `model`."""
    kind, context = error["type"], error.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind == "missing":
        return "is missing; every grid needs it"
    if kind == "extra_forbidden":
        names = fields_at(model, error["loc"][:-1])
        name = str(error["loc"][-1])
        near = [*names, *ALIASES] if model is Cell and len(error["loc"]) == 1 else names
        return f"unknown setting; allowed: {', '.join(names)}{did_you_mean(name, near)}"
    allowed = _ALLOWED.get(kind)
    return f"value {yaml_text(error['input'])}; " + (
        f"allowed: {allowed.format(**context)}" if allowed else error["msg"].lower()
    )


def invalid_options(
    path: str, given: Options, owner: str, declared: type[Section] | None
) -> Iterator[tuple[str, str]]:
    """Dotted path and message of each option that its owner does not accept.

    Args:
        path: dotted path of the options.
        given: the options as set by the user.
        owner: the method or engine that reads them, for messages.
        declared: the options that the owner accepts; None: none.
    """
    if declared is None:
        if given:
            yield path, f"value {yaml_text(dict(given))}; allowed: nothing, {owner} has no options"
        return
    try:
        declared.model_validate(dict(given))
    except ValidationError as error:
        for details in error.errors():
            missing = f"is missing; {owner} needs it" if details["type"] == "missing" else None
            field = ".".join([path, *map(str, details["loc"])])
            yield field, missing or validation_message(details, declared)


def yaml_text(value: Any) -> str:
    """A value in YAML notation, truncated to 60 characters."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else str(value).lower()
    text = str(value) if isinstance(value, date) else repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def fields_at(model: type[BaseModel], loc: Where) -> list[str]:
    """Names of the settings in the section at `loc`."""
    section: Any = model
    for part in loc:
        # A mapping by name, such as presets, has the same settings below each name.
        is_mapping = get_origin(section) is dict
        section = get_args(section)[1] if is_mapping else section.model_fields[str(part)].annotation
        if isinstance(section, UnionType):  # a section that may be null
            section = next(each for each in get_args(section) if each is not type(None))
    return list(section.model_fields)
