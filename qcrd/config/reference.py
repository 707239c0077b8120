"""The reference of all settings, from their types, defaults and docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from qcrd.config.cell import Cell
from qcrd.config.grid import Grid
from qcrd.config.options import Options
from qcrd.config.presets import PRESETS

GRID = "grid"
"""Name of the section with the keys of a grid's file that are in no section."""
CELL = "cell"
"""The same for a cell, which are written below `base:`."""


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting."""

    path: str  # dotted, such as contrastive.beta
    section: str  # the path's section; `CELL` or `GRID` if it is in none
    allowed: str  # in words, such as "numbers from 0 up, or null"
    default: Any  # REQUIRED if it has none
    description: str  # its docstring as one paragraph; it names the source in the paper
    presets: dict[str, Any] = field(default_factory=dict)  # the default in each preset where it differs


@dataclass(frozen=True, slots=True)
class SettingSection:
    """A group of settings."""

    name: str  # dotted path; `CELL` or `GRID` for what is in no section
    description: str
    settings: tuple[Setting, ...]


REQUIRED = inspect.Parameter.empty


@cache
def reference() -> tuple[SettingSection, ...]:
    """All settings of a cell and of a grid, section by section, in the order of their definition."""
    return (*_sections(Cell, "", CELL), *_sections(Grid, "", GRID))


def _sections(model: type[BaseModel], prefix: str, name: str) -> Iterator[SettingSection]:
    inner, settings = [], []
    for key, info in model.model_fields.items():
        path = f"{prefix}{key}"
        section = _section_of(info.annotation)
        if section is not None:
            inner.append((path, section))
        if section is None or info.annotation is not section:  # a section that may be null is a setting too
            default = REQUIRED if info.is_required() else info.get_default(call_default_factory=True)
            description = _paragraph(info.description) or _paragraph(section.__doc__ if section else "")
            allowed = allowed_values(info)
            settings.append(Setting(path, name, allowed, default, description, _in_presets(path, default)))
    if settings:
        yield SettingSection(name, _paragraph(model.__doc__), tuple(settings))
    for path, section in inner:
        yield from _sections(section, f"{path}.", path)


def _section_of(annotation: Any) -> type[BaseModel] | None:
    """The section that a field holds, also one that may be null."""
    parts = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    sections = [part for part in parts if inspect.isclass(part) and issubclass(part, BaseModel)]
    return sections[0] if sections else None


def _in_presets(path: str, default: Any) -> dict[str, Any]:
    """The values of a setting in the presets that set another one than the default."""
    found = {}
    for preset, values in PRESETS.items():
        value: Any = values
        for part in path.split("."):
            value = value.get(part, REQUIRED) if isinstance(value, dict) else REQUIRED
        if value is not REQUIRED and value != default:
            found[str(preset)] = value
    return found


def allowed_values(info: FieldInfo) -> str:
    """The values that a field takes, in words: "numbers from 0 to 1, or null"."""
    kinds = list(dict.fromkeys(_kinds(info.annotation, info.metadata)))
    if "null" in kinds:  # last
        kinds = [kind for kind in kinds if kind != "null"] + ["null"]
    return ", or ".join(kinds)


def _kinds(annotation: Any, metadata: list[Any] | tuple[Any, ...] = ()) -> Iterator[str]:
    origin, inside = get_origin(annotation), get_args(annotation)
    if origin in (Union, UnionType):
        for part in inside:
            yield from _kinds(part)
    elif origin is Annotated:
        extra = [item for found in inside[1:] for item in getattr(found, "metadata", [found])]
        yield from _kinds(inside[0], extra)
    elif origin is Literal:
        yield ", ".join(map(str, inside))
    elif annotation is NoneType:
        yield "null"
    elif annotation is bool:
        yield "true, false"
    elif annotation in (int, float):
        yield ("whole numbers" if annotation is int else "numbers") + _bounds(metadata)
    elif annotation is str:
        yield "text"
    elif annotation is Options or origin is dict:
        yield "a mapping"
    elif origin in (tuple, list):
        items = [kind for part in inside if part is not ... for kind in _kinds(part)]
        items = ["texts" if item == "text" else f"({item})" if "," in item else item for item in items]
        yield f"a list of {' or '.join(items)}"
    elif inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield "a mapping of the settings below"
    else:
        yield "any value"


def _bounds(metadata: list[Any] | tuple[Any, ...]) -> str:
    """Bounds of a number: " from 0 to 1", " above 0"."""
    words = {"ge": "from {:g}", "gt": "above {:g}", "le": "to {:g}", "lt": "below {:g}"}
    bounds = {name: getattr(item, name) for item in metadata for name in words if hasattr(item, name)}
    texts = [words[name].format(bounds[name]) for name in words if name in bounds]
    if texts == [words["ge"].format(bounds.get("ge", 0))]:
        texts.append("up")
    return "".join(f" {text}" for text in texts)


def _paragraph(text: str | None) -> str:
    return " ".join((text or "").split())
