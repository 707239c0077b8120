"""Reads a grid's YAML file and reports every error in it with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qcrd import plugins
from qcrd.config import Cell, Grid
from qcrd.config.presets import PRESETS, Preset
from qcrd.errors import ConfigError, did_you_mean
from qcrd.grid.plan.changes import NO_CHANGES, Changes
from qcrd.grid.plan.expansion import PlannedCell, expand
from qcrd.grid.plan.problems import GridProblems, Problem, validation_message, yaml_text
from qcrd.grid.plan.shipped_folder import shipped_grid, shipped_names
from qcrd.grid.plan.source import Source

_SEEDS = "allowed: how many (3) or which ([0, 7]), a count from 1 up and seeds from 0 up"


@dataclass(frozen=True, slots=True)
class GridFile:
    """A grid as written in its file, and its cells in each preset for which it was checked."""

    grid: Grid
    expanded: dict[Preset, list[PlannedCell]]
    """Without the limit of `changes`."""
    folder: Path
    """Folder of the file, where relative paths in it start."""
    changes: Changes
    """Changes from the command line; `grid` already has their settings."""

    def cells(self, preset: Preset) -> list[PlannedCell]:
        """The grid's cells in a preset; with a limit this loads the tasks whose sizes the grid does not say.

        Raises:
            GridProblems: if the grid was not checked for this preset and is invalid in it.
        """
        if preset in self.expanded and self.changes.limit is None:
            return self.expanded[preset]
        return expand(self.grid, preset, self.folder, self.changes)


def read_grid(path: str | Path, changes: Changes = NO_CHANGES) -> GridFile:
    """Read a grid from a YAML file and check all of its cells.

    Nothing in the file is executed, but the plugins that it names are loaded. Settings may be written with
    their short names (`factors.ALIASES`); the returned grid has dotted paths.

    Args:
        path: the file, or the name of a grid that comes with qcrd, such as quickstart.
        changes: from the command line.

    Raises:
        ConfigError: with one line `file:line: field: ...` per error, in the order of the file.
    """
    if not Path(path).exists():  # perhaps the name of one that comes with qcrd
        path = shipped_grid(str(path)) or path
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        nearby = ", ".join(sorted(str(p) for p in Path(path).parent.glob("*.yaml"))) or "none"
        hint = did_you_mean(str(path), shipped_names())
        raise ConfigError(f"{path}: there is no such file; grids in that folder: {nearby}{hint}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from error
    source = Source(text, path)
    for setting in changes.settings:
        source.change(setting)
    source.check_changes()
    folder = Path(path).absolute().parent
    problems: list[Problem] = []
    try:
        grid = Grid.model_validate(source.data)
    except ValidationError as error:
        errors = error.errors()
        problems += _grid_problems(errors)
        grid = _without_invalid_parts(source.data, errors)  # so that the rest of the file is checked too
    if plugin_problems := list(_load_plugins(grid.plugins, folder)):
        source.raise_if_any(problems + plugin_problems)  # every name that they register would be unknown
    expanded: dict[Preset, list[PlannedCell]] = {}
    for preset in PRESETS if grid.preset == "auto" else (grid.preset,):
        try:
            expanded[preset] = expand(grid, preset, folder)
        except GridProblems as error:
            problems += [source.in_preset_section(preset, problem) for problem in error.problems]
    source.raise_if_any(problems)
    return GridFile(grid, expanded, folder, changes)


def _load_plugins(names: list[str], folder: Path) -> Iterator[Problem]:
    """Load the grid's plugins, which its cells may use; yields a problem for each that cannot be loaded."""
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Problem(("plugins", i), f"value {yaml_text(name)} is listed twice; remove one")
            continue
        try:
            plugins.load([name], folder)
        except ConfigError as error:
            yield Problem(("plugins", i), str(error))


def _grid_problems(errors: list[ErrorDetails]) -> list[Problem]:
    """The problems that pydantic found in the grid itself, not in its cells."""
    problems: list[Problem] = []
    for error in errors:
        where, message = tuple(error["loc"]), validation_message(error, Grid)
        if "seeds" in where:  # one problem, not one per allowed type
            where, message = where[: where.index("seeds") + 1], f"value {yaml_text(error['input'])}; {_SEEDS}"
            if any(p.where == where for p in problems):
                continue
        elif error["type"] == "extra_forbidden" and where[0] in Cell.model_fields:
            message = f"is a setting of a cell; write it below `base:`, as base.{where[0]}"
        problems.append(Problem(where, message))
    return problems


def _without_invalid_parts(data: dict[str, Any], errors: list[ErrorDetails]) -> Grid:
    """The grid without the parts that have errors."""
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for error in errors:
        section, *rest = error["loc"]
        if section in ("sweep", "product") and rest:
            kept[section].pop(rest[0], None)
        else:
            kept.pop(str(section), None)
    return Grid.model_validate({"name": "unnamed", **kept})
