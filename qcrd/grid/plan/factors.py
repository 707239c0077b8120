"""Names of what a grid can vary: dotted paths of a cell's settings, and the paper's symbols for them."""

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
"""Short names for the factors that the paper studies; grids are stored with the dotted paths."""


@cache
def paths() -> tuple[str, ...]:
    """Dotted paths of all single settings of a cell."""
    return tuple(_leaves(Cell, ""))


def dotted(name: str) -> str:
    """The dotted path that `name` stands for; a name that is no alias stands for itself."""
    return ALIASES.get(name, name)


@cache
def short(path: str) -> str:
    """The shortest clear name of a setting: its alias, its last part where that is unique, or its path."""
    for alias, target in ALIASES.items():
        if target == path:
            return alias
    last = path.rpartition(".")[2]
    unique = Counter(p.rpartition(".")[2] for p in paths())[last] == 1
    return last if unique and last not in ALIASES else path


def show(value: Any) -> str:
    """A factor's value as people write it: 0.2, true, null, minmax; values that differ are shown differently.

    A text that could be taken for another kind of value is in quotes: 'null', '1'.
    """
    if value is None or isinstance(value, bool):
        return str(value).lower() if value is not None else "null"
    if isinstance(value, float):
        short = f"{value:g}"
        return short if float(short) == value else repr(value)
    if isinstance(value, str) and (value in ("null", "true", "false", "") or _is_number(value)):
        return repr(value)
    return str(value)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def get(cell: Cell, path: str) -> Any:
    """The cell's value at a dotted path."""
    value: Any = cell
    for part in path.split("."):
        value = value.get(part) if isinstance(value, dict) else getattr(value, part)
    return value


def refusal(path: str) -> str | None:
    """Why a dotted path cannot be a factor, None where it can."""
    if path == "seed":
        return "seeds are no factor; use `seeds:`"
    if path in paths() or any(path.startswith(f"{p}.") for p in paths() if p.endswith("options")):
        return None  # the names of options are a plugin's
    inside = [p for p in paths() if p.startswith(f"{path}.")]
    if inside:
        return f"is a section; allowed: one of its settings ({', '.join(inside)})"
    last = path.rpartition(".")[2]
    same_end = [p for p in paths() if p.rpartition(".")[2] == last]
    hint = meant(same_end) if same_end else did_you_mean(path, [*ALIASES, *paths()])
    return f"is no setting of a cell; allowed: {', '.join(ALIASES)} or a path such as training.warmup{hint}"


def _leaves(model: type[BaseModel], prefix: str) -> Iterable[str]:
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _leaves(inner, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"
