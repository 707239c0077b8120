"""Expands a grid into its distinct cells and checks all of them before anything starts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcrd.cell.identity import cell_id, teacher_samples
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell, Grid, Task, Teacher, merged
from qcrd.config.paths import PLACES, located
from qcrd.config.presets import PRESETS, Preset
from qcrd.fingerprint import canonical, fingerprint
from qcrd.grid.plan.changes import NO_CHANGES, Changes
from qcrd.grid.plan.factors import (
    dotted_path,
    factor_error,
    get_setting,
    short_name,
    value_text,
    written_name,
)
from qcrd.grid.plan.problems import GridProblems, Problem, Where, yaml_text
from qcrd.grid.plan.validation import validate_cell, value_at

MAX_CELLS = 100_000  # a mistake in a product must not fill the memory


@dataclass(frozen=True, slots=True)
class FactorRow:
    """Factors and values of a cell's row in its grid's table."""

    product: dict[str, Any]  # the combination: value of each product factor, by dotted path
    factor: str | None = None  # the swept factor; None: the base of the sweeps
    value: Any = None  # value of the swept factor

    @property
    def factors(self) -> dict[str, Any]:
        """All factors of the row with their values."""
        return self.product if self.factor is None else {**self.product, self.factor: self.value}


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell of a grid."""

    cell: ResolvedCell
    name: str  # unique in the grid: "qcrd beta=0.4 seed=0"
    rows: tuple[FactorRow, ...]  # its rows in the table; the base of the sweeps has one per factor

    @property
    def factors(self) -> dict[str, Any]:
        """Factors of its first row; {} for the base of the sweeps."""
        return self.rows[0].factors

    @property
    def names(self) -> tuple[str, ...]:
        """Its name in each row: the base of a sweep is also the cell with the base's value of the factor."""
        settings = self.cell.settings
        names = [f"{_label(settings, row.factors)} seed={settings.seed}" for row in self.rows]
        return tuple(dict.fromkeys([self.name, *names]))

    def is_called(self, name: str) -> bool:
        """Whether `name` is one of its names, with or without the seed."""
        seed = f" seed={self.cell.settings.seed}"
        return any(name in (own_name, own_name.removesuffix(seed)) for own_name in self.names)


@dataclass(frozen=True, slots=True)
class SampleNeed:
    """Teacher samples that some cells share: the first m per question."""

    task: Task
    teacher: Teacher
    m: int  # samples per question; the largest number that any of the cells reads
    splits: tuple[str, ...]  # ("train",); also "validation" if a cell uses the teacher's labels
    duals: bool = False  # whether these are dual rationales (EDIT), requested once the samples are stored


VARIANT = "variant"
"""The factor whose values are the names of a grid's variants."""


@dataclass(frozen=True, slots=True)
class _Choice:
    """A value of a factor, or a variant."""

    where: Where
    path: str
    value: Any
    settings: tuple[_Choice, ...] = ()  # of a variant


def expand(
    grid: Grid, preset: Preset, folder: Path = Path(), changes: Changes = NO_CHANGES
) -> list[PlannedCell]:
    """The cells of a grid in a preset.

    Cells are sorted by seed, so that a complete table of the first seed is available early. Later settings
    override earlier ones, in the order: preset, base, variant, product combination, swept value, seed. Cells
    with the same result (a swept value equal to the base's, a baseline in a sweep of a setting that only QCRD
    reads) are one cell with several rows.

    Args:
        grid: the grid.
        preset: the preset.
        folder: where relative paths in the grid start.
        changes: from the command line; its settings are already in the grid, its limit is not.

    Raises:
        GridProblems: if the grid is invalid; lists all problems, each with factor and value.
    """
    problems: dict[Problem, None] = {}  # an ordered set
    grid = grid.within(preset)
    product = _variants(grid.variants, problems) | _factors(grid.product, "product", problems)
    sweep = _factors(grid.sweep, "sweep", problems)
    for path in sweep.keys() & product.keys():
        _add(problems, ("sweep", path), "is also in product; keep it in one of them")
    seeds = _seeds(grid.seeds, problems)
    _check_baseline(grid.baseline, product, problems)
    if "seed" in grid.base:
        _add(problems, ("base", "seed"), f"use `seeds: [{grid.base['seed']}]` instead")

    combinations = math.prod(map(len, product.values()))
    size = combinations * (1 + sum(map(len, sweep.values()))) * len(seeds)
    if size > MAX_CELLS:
        _add(problems, ("product",), f"the grid has {size} cells; allowed: up to {MAX_CELLS}")
        raise GridProblems(problems)

    builder = _Builder(_without_seed(grid.base), preset, folder, changes, problems)
    distinct: dict[str, Cell] = {}
    rows: dict[str, list[FactorRow]] = {}
    for chosen in itertools.product(*product.values()):
        for swept in (None, *itertools.chain(*sweep.values())):
            cell = builder.build(chosen if swept is None else (*chosen, swept))
            if cell is not None:
                key = _result_key(cell)
                distinct.setdefault(key, cell)
                rows.setdefault(key, []).append(_row(cell, chosen, swept))
    if problems:
        raise GridProblems(problems)
    labels = [_label(cell, rows[key][0].factors) for key, cell in distinct.items()]
    if len(set(labels)) < len(labels):
        labels = [_label(cell, rows[key][0].factors, exact=True) for key, cell in distinct.items()]
    return [
        PlannedCell(resolve(cell.model_copy(update={"seed": seed})), f"{label} seed={seed}", tuple(rows[key]))
        for seed in seeds
        for label, (key, cell) in zip(labels, distinct.items(), strict=True)
    ]


def required_samples(cells: Iterable[Cell]) -> list[SampleNeed]:
    """The samples that cells require: one entry per distinct task and teacher, with the largest m."""
    needs: dict[tuple[Task, Teacher], SampleNeed] = {}
    for cell in cells:
        m = teacher_samples(cell)
        if not m:
            continue
        key = cell.task, cell.teacher
        need = needs.get(key, SampleNeed(*key, 0, ("train",)))
        splits = ("train", "validation") if cell.rationales.labels == "teacher" else need.splits
        needs[key] = SampleNeed(*key, max(m, need.m), splits)
    return list(needs.values())


class _Builder:
    """Builds cells from a base and choices; adds a problem for each error in a cell."""

    def __init__(
        self,
        base: dict[str, Any],
        preset: Preset,
        folder: Path,
        changes: Changes,
        problems: dict[Problem, None],
    ):
        self.folder = folder
        self.changes = changes
        self.problems = problems
        self.base = merged(PRESETS[preset], base)
        for path in PLACES:
            value = value_at(self.base, path)
            if isinstance(value, str):
                self.base = _set(self.base, path, self._locate(path, ("base", *path.split(".")), value))
        self.base_messages = {message for _, message in validate_cell(self.base)[1]}

    def build(self, choices: tuple[_Choice, ...]) -> Cell | None:
        tree = self.base
        choices = tuple(itertools.chain(*(choice.settings or (choice,) for choice in choices)))
        for choice in choices:
            if choice.path == VARIANT:  # without settings
                continue
            value = choice.value
            if choice.path in PLACES and isinstance(value, str):
                value = self._locate(choice.path, choice.where, value)
            tree = _set(tree, choice.path, value)
        cell, errors = validate_cell(tree)
        for path, message in errors:
            _add(self.problems, self._where(path, message, choices), message)
        return self.changes.limited(cell) if cell else None

    def _where(self, path: str, message: str, choices: tuple[_Choice, ...]) -> Where:
        """Where the user has to correct it: the choice that set `path`, or the last one in that section."""
        for choice in reversed(choices):
            if path == choice.path or path.startswith(f"{choice.path}."):
                return choice.where
        if message not in self.base_messages:
            for choice in reversed(choices):
                if not path or choice.path.startswith(f"{path}."):
                    return choice.where
        return ("base", *path.split(".")) if path else ("base",)

    def _locate(self, setting: str, where: Where, value: str) -> str:
        try:
            return located(setting, value, self.folder)
        except ValueError as error:
            _add(self.problems, where, str(error))
            return value


def _factors(
    section: dict[str, list[Any]], section_name: str, problems: dict[Problem, None]
) -> dict[str, list[_Choice]]:
    """The valid factors of `sweep` or `product`; adds a problem for each invalid one."""
    factors = {}
    for name, values in section.items():
        path = dotted_path(name)
        if reason := factor_error(path):
            _add(problems, (section_name, path), reason)
        elif not values:
            _add(problems, (section_name, path), "value []; allowed: at least one value, or remove the line")
        else:
            for i, repeated in _repeated(values):
                message = f"value {yaml_text(repeated)} is listed twice; remove one"
                _add(problems, (section_name, path, i), message)
            factors[path] = [_Choice((section_name, path, i), path, value) for i, value in enumerate(values)]
    return factors


def _variants(variants: dict[str, dict[str, Any]], problems: dict[Problem, None]) -> dict[str, list[_Choice]]:
    """The variants as a factor; {} if there are none."""
    choices = []
    for name, settings in variants.items():
        valid = []
        for alias, value in settings.items():
            path = dotted_path(alias)
            if reason := factor_error(path):
                _add(problems, ("variants", name, path), reason)
            else:
                valid.append(_Choice(("variants", name, path), path, value))
        choices.append(_Choice(("variants", name), VARIANT, name, tuple(valid)))
    return {VARIANT: choices} if choices else {}


def _seeds(seeds: int | list[int], problems: dict[Problem, None]) -> list[int]:
    if isinstance(seeds, int):
        return list(range(seeds))
    if not seeds:
        _add(problems, ("seeds",), "value []; allowed: a number of seeds, or a list of at least one")
    for i, repeated in _repeated(seeds):
        _add(problems, ("seeds", i), f"seed {repeated} is listed twice; remove one")
    return seeds


def _check_baseline(
    baseline: dict[str, Any], product: dict[str, list[_Choice]], problems: dict[Problem, None]
) -> None:
    """Check that the baseline names factors of product or variants and values that they have."""
    for name, value in baseline.items():
        path = dotted_path(name)
        values = [choice.value for choice in product.get(path, [])]
        if path not in product:
            allowed = (
                ", ".join(map(written_name, product)) or "none, the grid has neither product nor variants"
            )
            _add(problems, ("baseline", name), f"is not a factor of product or variants; allowed: {allowed}")
        elif value not in values:
            allowed = ", ".join(map(value_text, values))
            _add(problems, ("baseline", name), f"value {yaml_text(value)}; allowed: {allowed}")


def _repeated(values: list[Any]) -> Iterator[tuple[int, Any]]:
    """Index and value of each value equal to an earlier one (2 equals 2.0; true does not equal 1)."""
    seen: list[tuple[bool, Any]] = []
    for i, value in enumerate(values):
        key = (isinstance(value, bool), value)
        if key in seen:
            yield i, value
        seen.append(key)


def _row(cell: Cell, chosen: tuple[_Choice, ...], swept: _Choice | None) -> FactorRow:
    def value(choice: _Choice) -> Any:
        # Strings stay as written (a path with its variable); numbers take the type of the setting.
        return choice.value if isinstance(choice.value, str) else get_setting(cell, choice.path)

    product = {choice.path: value(choice) for choice in chosen}
    return FactorRow(product) if swept is None else FactorRow(product, swept.path, value(swept))


def _label(cell: Cell, factors: dict[str, Any], exact: bool = False) -> str:
    """A cell's name without its seed.

    Args:
        cell: the cell.
        factors: value of each factor, by dotted path.
        exact: write values as JSON; for grids in which two cells would otherwise share a name.
    """
    name, variant = cell.method, factors.get(VARIANT)
    if isinstance(variant, str) and variant.startswith(name) and not exact:  # not the method twice
        name, factors = variant, {path: value for path, value in factors.items() if path != VARIANT}
    if exact:
        settings = [f"{path}={canonical(value)}" for path, value in factors.items() if path != "method"]
    else:
        settings = [
            value_text(value) if path == VARIANT else f"{short_name(path)}={value_text(value)}"
            for path, value in factors.items()
            if path != "method"
        ]
    return " ".join([name, *settings])


def _result_key(cell: Cell) -> str:
    """Equal for cells with equal results. Uses the settings of task and teacher, so it loads no data."""
    return cell_id(cell, fingerprint(cell.task.model_dump()), cell.teacher.model_dump())


def _set(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `tree` with `value` at a dotted path."""
    name, _, rest = path.partition(".")
    inner = tree.get(name, {})
    if rest and not isinstance(inner, dict):
        return tree  # validation reports a section that is not a mapping
    return {**tree, name: _set(inner, rest, value) if rest else value}


def _without_seed(base: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in base.items() if key != "seed"}


def _add(problems: dict[Problem, None], where: Where, message: str) -> None:
    problems[Problem(where, message)] = None
