"""Names of factors: dotted paths of a cell's settings, and short aliases for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Any

from pydantic import BaseModel

from qcrd.config import Cell
from qcrd.errors import did_you_mean, meant

ALIASES: dict[str, str] = {
    "task": "task.name",
    "m": "rationales.m",  # teacher samples per question
    "k": "selfplay.k",  # self-play samples per question
    "tau": "selfplay.tau",  # their temperature
    "top_k": "selfplay.top_k",  # tokens that they are drawn among
    "beta": "contrastive.beta",  # weight of the negatives
    "delta": "contrastive.delta",  # margin of the hinge
    "scheme": "contrastive.scheme",  # which rationales count
    "lr": "training.lr",
    "steps": "training.steps",
}
"""Short names of the factors that the paper studies; grids are stored with dotted paths."""


@cache
def setting_paths() -> tuple[str, ...]:
    """Dotted paths of all settings of a cell, without sections."""
    return tuple(_setting_paths(Cell, ""))


@cache
def sections() -> frozenset[str]:
    """Dotted paths of all sections of a cell's settings."""
    parts = [path.split(".") for path in setting_paths()]
    return frozenset(".".join(path[:end]) for path in parts for end in range(1, len(path)))


def dotted_path(name: str) -> str:
    """The dotted path of an alias; any other name is returned as it is."""
    return ALIASES.get(name, name)


def written_name(path: str) -> str:
    """The shortest name that a grid may use for a setting: its alias, or else its dotted path."""
    return next((alias for alias, target in ALIASES.items() if target == path), path)


@cache
def short_name(path: str) -> str:
    """The shortest unambiguous name of a setting: alias, last part of the path if unique, or whole path."""
    if (name := written_name(path)) != path:
        return name
    last = path.rpartition(".")[2]
    unique = Counter(p.rpartition(".")[2] for p in setting_paths())[last] == 1
    return last if unique and last not in ALIASES else path


def value_text(value: Any) -> str:
    """A factor's value as text: 0.2, true, null, minmax. Distinct values have distinct texts.

    A string that looks like another type is quoted: 'null', '1'.
    """
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if isinstance(value, float):
        rounded = f"{value:g}"
        return rounded if float(rounded) == value else repr(value)
    if isinstance(value, str) and (value in ("null", "true", "false", "") or _is_number(value)):
        return repr(value)
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def get_setting(cell: Cell, path: str) -> Any:
    """The cell's value at a dotted path."""
    value: Any = cell
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value


def factor_error(path: str) -> str | None:
    """Error message if a dotted path cannot be a factor, else None."""
    if path == "seed":
        return "seed is not a factor; use `seeds:`"
    if path in setting_paths() or any(
        path.startswith(f"{p}.") for p in setting_paths() if p.endswith("options")
    ):
        return None  # plugins define the names of options
    inside = [p for p in setting_paths() if p.startswith(f"{path}.")]
    if inside:
        return f"is a section; allowed: one of its settings ({', '.join(inside)})"
    last = path.rpartition(".")[2]
    same_end = [p for p in setting_paths() if p.rpartition(".")[2] == last]
    hint = meant(same_end) if same_end else did_you_mean(path, [*ALIASES, *setting_paths()])
    return (
        f"is not a setting of a cell; allowed: {', '.join(ALIASES)} or a path such as training.warmup{hint}"
    )


def _setting_paths(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _setting_paths(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
