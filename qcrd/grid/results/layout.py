"""Assigns a grid's cells to the lines of its table."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

from qcrd.config import Grid
from qcrd.grid.plan.expansion import VARIANT, FactorRow, PlannedCell
from qcrd.grid.plan.factors import dotted_path, get_setting, short_name, value_text
from qcrd.report.model import Setting

Cells = dict[str, PlannedCell]  # cells of one setting, by id; one per seed


@dataclass(frozen=True, slots=True)
class SettingCells:
    """One line of the table and its cells."""

    setting: Setting
    cells: Cells


class _Position(NamedTuple):
    """Position of a row in the grid's file; sorts in the order of the file."""

    combination: tuple[int, ...]  # index of the value of each product factor
    factor: int = -1  # index of the swept factor; -1: the base of the sweeps
    value: int = -1  # index of its value


def table_settings(grid: Grid, cells: Sequence[PlannedCell], ids: Sequence[str]) -> list[SettingCells]:
    """The lines of a grid's table, in the order of its file.

    The product's combinations come first, then a section per combination and swept factor that includes the
    base. Lines with the same cells are shown once: factors without effect (beta for finetuning) are left out
    of a combination's label, and sweeps over such factors are left out completely.

    Args:
        grid: the grid.
        cells: its cells.
        ids: ids of the cells, in the same order.
    """
    layout = _Layout(grid, cells, ids)
    sections = list(layout.sections())
    return (layout.overview() if layout.product or not sections else []) + sections


class _Layout:
    def __init__(self, grid: Grid, cells: Sequence[PlannedCell], ids: Sequence[str]):
        self.product, self.sweep = list(grid.product.items()), list(grid.sweep.items())
        if grid.variants:
            self.product.insert(0, (VARIANT, list(grid.variants)))
        self.baseline = {dotted_path(name): value for name, value in grid.baseline.items()}
        self.at: dict[_Position, Cells] = {}
        for planned, cell_id in zip(cells, ids, strict=True):
            for row in planned.rows:
                self.at.setdefault(self._position(row), {})[cell_id] = planned
        self.combinations = sorted({position.combination for position in self.at})

    def overview(self) -> list[SettingCells]:
        """The base of each combination; with several tasks, a section per task."""
        overview = []
        for same in _grouped(self.combinations, lambda c: tuple(self._base(c))):
            cells = self._base(same[0])
            settings = next(iter(cells.values())).cell.settings
            label = self._combination(same, exclude="task.name").removeprefix(f"{settings.task.name} ")
            label = label or settings.method
            values = tuple(self._values(combination) for combination in same)
            setting = Setting(settings.task.name, label, None, self._is_baseline(same[0]), values)
            overview.append(SettingCells(setting, cells))
        groups = list(dict.fromkeys(line.setting.group for line in overview))
        if len(groups) == 1:
            return [replace(line, setting=replace(line.setting, group="")) for line in overview]
        return sorted(overview, key=lambda line: groups.index(line.setting.group))

    def _values(self, combination: tuple[int, ...]) -> dict[str, str]:
        """Value of each product factor except the task, which has its own section."""
        factors = zip(combination, self.product, strict=True)
        return {
            short_name(path): value_text(factor_values[i])
            for i, (path, factor_values) in factors
            if path != "task.name"
        }

    def _is_baseline(self, combination: tuple[int, ...]) -> bool:
        values = {
            path: factor_values[i] for i, (path, factor_values) in zip(combination, self.product, strict=True)
        }
        return bool(self.baseline) and all(values.get(p) == v for p, v in self.baseline.items())

    def sections(self) -> Iterator[SettingCells]:
        """The sweeps; combinations for which a sweep has the same cells share a section."""
        groups = []
        for number in range(len(self.sweep)):
            for same in _grouped(self.combinations, partial(self._content, number=number)):
                if set(self._content(same[0], number)) != {tuple(self._base(same[0]))}:
                    groups.append((self.combinations.index(same[0]), number, same))
        for _, number, same in sorted(groups):
            yield from self._section(same, number)

    def _section(self, same: list[tuple[int, ...]], number: int) -> Iterator[SettingCells]:
        path, values = self.sweep[number]
        base = self._base(same[0])
        group = ": ".join(filter(None, [self._combination(same), short_name(path)]))
        content = self._content(same[0], number)
        if tuple(base) not in content:
            label = value_text(get_setting(next(iter(base.values())).cell.settings, path))
            yield SettingCells(Setting(group, label, path, base=True), base)
        for same_cells in _grouped(range(len(values)), lambda value: content[value]):
            cells = self.at[_Position(same[0], number, same_cells[0])]
            label = ", ".join(value_text(values[value]) for value in same_cells)
            yield SettingCells(Setting(group, label, path, list(cells) == list(base)), cells)

    def _base(self, combination: tuple[int, ...]) -> Cells:
        return self.at[_Position(combination)]

    def _content(self, combination: tuple[int, ...], number: int) -> tuple[tuple[str, ...], ...]:
        """Ids of the cells at each value of a swept factor."""
        values = range(len(self.sweep[number][1]))
        return tuple(tuple(self.at[_Position(combination, number, value)]) for value in values)

    def _combination(self, same: list[tuple[int, ...]], exclude: str = "") -> str:
        """Label of combinations with the same cells; leaves out factors whose values all give these cells.

        Args:
            same: the combinations.
            exclude: a factor that is shown elsewhere.
        """
        distinctive: list[str] = []
        irrelevant: list[str] = []
        for number, (path, values) in enumerate(self.product):
            if path == exclude:
                continue
            indices = sorted({combination[number] for combination in same})
            text = "|".join(value_text(values[value]) for value in indices)
            text = text if path in ("method", VARIANT) else f"{short_name(path)}={text}"
            (irrelevant if 1 < len(indices) == len(values) else distinctive).append(text)
        return " ".join(distinctive or irrelevant)

    def _position(self, row: FactorRow) -> _Position:
        combination = tuple(values.index(row.product[path]) for path, values in self.product)
        if row.factor is None:
            return _Position(combination)
        number = [path for path, _ in self.sweep].index(row.factor)
        return _Position(combination, number, self.sweep[number][1].index(row.value))


def _grouped(items: Iterable[Any], key: Callable[[Any], Any]) -> list[list[Any]]:
    """Items grouped by `key`; groups are in the order of their first items."""
    groups: dict[Any, list[Any]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return list(groups.values())
