"""From a grid to its cells: every combination, no cell twice, all of it checked before anything starts."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from qcrd.cell.identity import cell_id, teacher_samples
from qcrd.cell.resolved import ResolvedCell, resolve
from qcrd.config import Cell, Grid, Task, Teacher, merged
from qcrd.config.paths import PLACES, replaced
from qcrd.config.presets import PRESETS, Preset
from qcrd.fingerprint import canonical, fingerprint
from qcrd.grid.plan.factors import dotted, get, refusal, short, show
from qcrd.grid.plan.fitness import fitted, value_at
from qcrd.grid.plan.problems import GridProblems, Problem, Where, shown

LARGEST = 100_000  # cells; a slip in a product should not fill the memory


@dataclass(frozen=True, slots=True)
class FactorRow:
    """Factors and values under which a cell stands in its grid's table."""

    product: dict[str, Any]  # the combination: each product factor (dotted path) with its value
    factor: str | None = None  # the swept factor; None is the cell that the sweeps go around
    value: Any = None  # its value

    @property
    def factors(self) -> dict[str, Any]:
        """All that the grid varies here."""
        return self.product if self.factor is None else {**self.product, self.factor: self.value}


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """A cell that a grid asks for."""

    cell: ResolvedCell
    name: str  # for people, unique in the grid: "qcrd beta=0.4 seed=0"
    rows: tuple[FactorRow, ...]  # where it appears; the base of a sweep is in a row of every factor

    @property
    def factors(self) -> dict[str, Any]:
        """What the grid varies in this cell, {} for the base of a sweep: its first row's."""
        return self.rows[0].factors

    @property
    def names(self) -> tuple[str, ...]:
        """Its name in each of its rows: the base of a sweep is also the cell with the base's value."""
        settings = self.cell.settings
        names = [f"{_label(settings, row.factors)} seed={settings.seed}" for row in self.rows]
        return tuple(dict.fromkeys([self.name, *names]))

    def is_called(self, name: str) -> bool:
        """Whether `name` is one of its names, with or without its seed."""
        seed = f" seed={self.cell.settings.seed}"
        return any(name in (each, each.removesuffix(seed)) for each in self.names)


@dataclass(frozen=True, slots=True)
class SampleNeed:
    """Answers that some cells share: the first m of each question."""

    task: Task
    teacher: Teacher
    m: int  # the largest that any of the cells reads
    splits: tuple[str, ...]  # ("train",), with "validation" where a cell takes its labels from the teacher
    duals: bool = False  # whether it is what EDIT asks about these answers once they are there


VARIANT = "variant"
"""The factor whose values are the names of a grid's variants."""


class _Choice(NamedTuple):
    where: Where
    path: str
    value: Any
    settings: tuple[_Choice, ...] = ()  # of a variant, which is no setting itself


def expand(grid: Grid, preset: Preset) -> list[PlannedCell]:
    """The cells of a grid in a preset, those of the first seed first, so that a whole table is there early.

    What is set later counts: preset, base, variant, product combination, swept value, seed. Cells that
    would give the same result (a swept value equal to the base's, a baseline beside a sweep of what only
    QCRD reads) are one cell with several rows.

    Raises:
        GridProblems: everything that is wrong, naming factor and value.
    """
    problems: dict[Problem, None] = {}  # a set that keeps its order
    grid = grid.within(preset)
    product = _variants(grid.variants, problems) | _factors(grid.product, "product", problems)
    sweep = _factors(grid.sweep, "sweep", problems)
    for path in sweep.keys() & product.keys():
        _add(problems, ("sweep", path), "is in product as well; a factor belongs into one of them")
    seeds = _seeds(grid.seeds, problems)
    _check_baseline(grid.baseline, product, problems)
    if "seed" in grid.base:
        _add(problems, ("base", "seed"), f"use `seeds: [{grid.base['seed']}]` instead")

    combinations = math.prod(map(len, product.values()))
    size = combinations * (1 + sum(map(len, sweep.values()))) * len(seeds)
    if size > LARGEST:
        _add(problems, ("product",), f"the grid has {size} cells; allowed: up to {LARGEST}")
        raise GridProblems(problems)

    builder = _Builder(_without_seed(grid.base), preset, problems)
    first: dict[str, Cell] = {}
    rows: dict[str, list[FactorRow]] = {}
    for chosen in itertools.product(*product.values()):
        for swept in (None, *itertools.chain(*sweep.values())):
            cell = builder.build(chosen if swept is None else (*chosen, swept))
            if cell is not None:
                key = _same_result(cell)
                first.setdefault(key, cell)
                rows.setdefault(key, []).append(_row(cell, chosen, swept))
    if problems:
        raise GridProblems(problems)
    labels = [_label(cell, rows[key][0].factors) for key, cell in first.items()]
    if len(set(labels)) < len(labels):
        labels = [_label(cell, rows[key][0].factors, exact=True) for key, cell in first.items()]
    return [
        PlannedCell(resolve(cell.model_copy(update={"seed": seed})), f"{label} seed={seed}", tuple(rows[key]))
        for seed in seeds
        for label, (key, cell) in zip(labels, first.items(), strict=True)
    ]


def required_samples(cells: Iterable[Cell]) -> list[SampleNeed]:
    """What has to be drawn for the cells: each distinct task and teacher once, with the largest m."""
    needs: dict[tuple[Task, Teacher], SampleNeed] = {}
    for cell in cells:
        m = teacher_samples(cell)
        if not m:
            continue
        key = cell.task, cell.teacher
        before = needs.get(key, SampleNeed(*key, 0, ("train",)))
        splits = ("train", "validation") if cell.rationales.labels == "teacher" else before.splits
        needs[key] = SampleNeed(*key, max(m, before.m), splits)
    return list(needs.values())


class _Builder:
    """Makes cells on top of one base, and says what is wrong with those that cannot be made."""

    def __init__(self, base: dict[str, Any], preset: Preset, problems: dict[Problem, None]):
        self.problems = problems
        self.base = merged(PRESETS[preset], base)
        for path in PLACES:
            value = value_at(self.base, path)
            if isinstance(value, str):
                self.base = _set(self.base, path, self._place(("base", *path.split(".")), value))
        self.base_messages = {message for _, message in fitted(self.base)[1]}

    def build(self, choices: tuple[_Choice, ...]) -> Cell | None:
        tree = self.base
        choices = tuple(itertools.chain(*(choice.settings or (choice,) for choice in choices)))
        for where, path, value, _ in choices:
            if path == VARIANT:  # one that sets nothing
                continue
            if path in PLACES and isinstance(value, str):
                value = self._place(where, value)
            tree = _set(tree, path, value)
        cell, errors = fitted(tree)
        for path, message in errors:
            _add(self.problems, self._where(path, message, choices), message)
        return cell

    def _where(self, path: str, message: str, choices: tuple[_Choice, ...]) -> Where:
        """What the user is to mend: the choice that set `path`, or the last one within that section."""
        for choice in reversed(choices):
            if path == choice.path or path.startswith(f"{choice.path}."):
                return choice.where
        if message not in self.base_messages:
            for choice in reversed(choices):
                if not path or choice.path.startswith(f"{path}."):
                    return choice.where
        return ("base", *path.split(".")) if path else ("base",)

    def _place(self, where: Where, value: str) -> str:
        try:
            return replaced(value)
        except ValueError as error:
            _add(self.problems, where, str(error))
            return value


def _factors(
    listed: dict[str, list[Any]], part: str, problems: dict[Problem, None]
) -> dict[str, list[_Choice]]:
    """The usable factors of `sweep` or `product`; the others become problems."""
    usable = {}
    for name, values in listed.items():
        path = dotted(name)
        if reason := refusal(path):
            _add(problems, (part, path), reason)
        elif not values:
            _add(problems, (part, path), "value []; allowed: at least one value, or remove the line")
        else:
            for i, again in _repeated(values):
                _add(problems, (part, path, i), f"value {shown(again)} is there twice; remove one")
            usable[path] = [_Choice((part, path, i), path, value) for i, value in enumerate(values)]
    return usable


def _variants(named: dict[str, dict[str, Any]], problems: dict[Problem, None]) -> dict[str, list[_Choice]]:
    """The variants as a factor; none is none."""
    choices = []
    for name, settings in named.items():
        usable = []
        for alias, value in settings.items():
            path = dotted(alias)
            if reason := refusal(path):
                _add(problems, ("variants", name, path), reason)
            else:
                usable.append(_Choice(("variants", name, path), path, value))
        choices.append(_Choice(("variants", name), VARIANT, name, tuple(usable)))
    return {VARIANT: choices} if choices else {}


def _seeds(seeds: int | list[int], problems: dict[Problem, None]) -> list[int]:
    if isinstance(seeds, int):
        return list(range(seeds))
    if not seeds:
        _add(problems, ("seeds",), "value []; allowed: a number of seeds, or a list of at least one")
    for i, again in _repeated(seeds):
        _add(problems, ("seeds", i), f"seed {again} is there twice; remove one")
    return seeds


def _check_baseline(
    baseline: dict[str, Any], product: dict[str, list[_Choice]], problems: dict[Problem, None]
) -> None:
    """That some line can be the one that the others are compared with."""
    for name, value in baseline.items():
        path = dotted(name)
        known = [choice.value for choice in product.get(path, [])]
        if path not in product:
            allowed = ", ".join(map(short, product)) or "none, the grid has neither product nor variants"
            _add(problems, ("baseline", name), f"is no factor of product or variants; allowed: {allowed}")
        elif value not in known:
            allowed = ", ".join(map(show, known))
            _add(problems, ("baseline", name), f"value {shown(value)}; allowed: {allowed}")


def _repeated(values: list[Any]) -> Iterator[tuple[int, Any]]:
    """Values that equal an earlier one (2 and 2.0 do, true and 1 do not), with their index."""
    seen: list[tuple[bool, Any]] = []
    for i, value in enumerate(values):
        key = (isinstance(value, bool), value)
        if key in seen:
            yield i, value
        seen.append(key)


def _row(cell: Cell, chosen: tuple[_Choice, ...], swept: _Choice | None) -> FactorRow:
    def value(choice: _Choice) -> Any:
        # Text stays as it was written (a path with its variable); numbers take the setting's own type.
        return choice.value if isinstance(choice.value, str) else get(cell, choice.path)

    product = {choice.path: value(choice) for choice in chosen}
    return FactorRow(product) if swept is None else FactorRow(product, swept.path, value(swept))


def _label(cell: Cell, factors: dict[str, Any], exact: bool = False) -> str:
    """A cell's name without its seed; `exact` is for grids in which two would share one: a text may read like
    settings."""
    if exact:
        settings = [f"{path}={canonical(value)}" for path, value in factors.items() if path != "method"]
    else:
        settings = [
            show(value) if path == VARIANT else f"{short(path)}={show(value)}"
            for path, value in factors.items()
            if path != "method"
        ]
    return " ".join([cell.method, *settings])


def _same_result(cell: Cell) -> str:
    """Equal for cells with equal results. Task and teacher enter by their settings: nothing is loaded yet."""
    return cell_id(cell, fingerprint(cell.task.model_dump()), cell.teacher.model_dump())


def _set(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """A copy of `tree` with `value` at a dotted path."""
    name, _, rest = path.partition(".")
    inner = tree.get(name, {})
    if rest and not isinstance(inner, dict):
        return tree  # a section that is no mapping is reported as such
    return {**tree, name: _set(inner, rest, value) if rest else value}


def _without_seed(base: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in base.items() if key != "seed"}


def _add(problems: dict[Problem, None], where: Where, message: str) -> None:
    problems[Problem(where, message)] = None
