"""Reads a grid's YAML file and reports every error in it with its line."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from qcrd import plugins
from qcrd.config import Cell, Grid
from qcrd.config.presets import PRESETS, Preset
from qcrd.errors import ConfigError
from qcrd.grid.plan.expansion import PlannedCell, expand
from qcrd.grid.plan.factors import dotted_path
from qcrd.grid.plan.problems import GridProblems, Problem, Where, validation_message, yaml_text
from qcrd.grid.plan.scalars import Loader, implicit_conversion, misread_number

MAX_DEPTH = 12  # levels of nesting
MAX_VALUES = 200_000  # in a file; YAML anchors could expand without limit
_FIELDS = ", ".join(Grid.model_fields)
_SEEDS = "allowed: how many (3) or which ([0, 7]), a count from 1 up and seeds from 0 up"
_MERGE = "tag:yaml.org,2002:merge"
Entry = tuple[str, yaml.Node, yaml.Node]  # of a mapping: resolved key, the key's node, the value's node
# Sections whose keys may be aliases of factors: directly, and in each entry.
_FACTOR_SECTIONS = ("sweep", "product")
_NESTED_FACTOR_SECTION = "variants"


@dataclass(frozen=True, slots=True)
class GridFile:
    """A grid as written in its file, and its cells in each preset for which it was checked."""

    grid: Grid
    expanded: dict[Preset, list[PlannedCell]]

    def cells(self, preset: Preset) -> list[PlannedCell]:
        """The grid's cells in a preset.

        Raises:
            GridProblems: if the grid was not checked for this preset and is invalid in it.
        """
        return self.expanded[preset] if preset in self.expanded else expand(self.grid, preset)


def read_grid(path: str | Path) -> GridFile:
    """Read a grid from a YAML file and check all of its cells.

    Nothing in the file is executed, but the plugins that it names are loaded. Factors may be written with
    their aliases (`factors.ALIASES`); the returned grid has dotted paths.

    Raises:
        ConfigError: with one line `file:line: field: ...` per error, in the order of the file.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        nearby = ", ".join(sorted(str(p) for p in Path(path).parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: there is no such file; grids in that folder: {nearby}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from error
    source = _Source(text, path)
    problems: list[Problem] = []
    try:
        grid = Grid.model_validate(source.data)
    except ValidationError as error:
        errors = error.errors()
        problems += _grid_problems(errors)
        grid = _without_invalid_parts(source.data, errors)  # so that the rest of the file is checked too
    if plugin_problems := list(_load_plugins(grid.plugins, Path(path).parent)):
        source.raise_if_any(problems + plugin_problems)  # every name that they register would be unknown
    expanded: dict[Preset, list[PlannedCell]] = {}
    for preset in PRESETS if grid.preset == "auto" else (grid.preset,):
        try:
            expanded[preset] = expand(grid, preset)
        except GridProblems as error:
            problems += [source.in_preset_section(preset, problem) for problem in error.problems]
    source.raise_if_any(problems)
    return GridFile(grid, expanded)


class _Source:
    """A file's data and the line of each value."""

    def __init__(self, text: str, path: str | Path):
        self.path = path
        self.lines: dict[Where, int] = {}
        self.duplicates: list[tuple[int, str]] = []  # line and message of each repeated key
        self.merges = 0  # mappings merged by `<<`
        self.misread: dict[Where, Problem] = {}  # numbers whose value in YAML is surprising
        self.conversions: dict[Where, str] = {}  # of values that YAML converts implicitly
        try:
            self.loader = Loader(text)
            node = self.loader.get_single_node()
            data = None if node is None else self._value(node, ())
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigError(f"{path}:{line}: invalid character: {error.reason}; remove it") from error
        except yaml.MarkedYAMLError as error:
            raise ConfigError(f"{path}:{_syntax_message(error)}") from error
        except RecursionError as error:
            raise ConfigError(f"{path}:1: nested too deeply; allowed: {MAX_DEPTH} levels") from error
        if data is None:
            raise ConfigError(f"{path}:1: the file is empty; a grid needs at least `name: ...`")
        if not isinstance(data, dict):
            raise ConfigError(f"{path}:1: value {yaml_text(data)}; allowed: a mapping with {_FIELDS}")
        self.data: dict[str, Any] = data

    def raise_if_any(self, problems: list[Problem]) -> None:
        """Raise a ConfigError with all distinct problems, sorted by line, if there are any."""
        messages = {*self.duplicates, *((self._line(p.where), str(p)) for p in self.misread.values())}
        # Other errors about a misread number follow from its unexpected value.
        others = (p for p in problems if p.where not in self.misread)
        messages |= {(self._line(p.where), self._with_conversion(p)) for p in others}
        if messages:
            lines = [f"{self.path}:{line}: {message}" for line, message in sorted(messages)]
            raise ConfigError("\n".join(lines))

    def in_preset_section(self, preset: str, problem: Problem) -> Problem:
        """The problem located below `presets`, if the file sets the value there."""
        where = ("presets", preset, *problem.where)
        return replace(problem, where=where) if where in self.lines else problem

    def _with_conversion(self, problem: Problem) -> str:
        """The problem's message, with the implicit conversion of its value, if there was one."""
        where = problem.where
        notes = (note for at, note in self.conversions.items() if at == where or _is_item(at, where))
        note = next(notes, None)
        return f"{problem}; {note}" if note else str(problem)

    def _value(self, node: yaml.Node, where: Where) -> Any:
        """A node's value as plain Python data; records lines, duplicate keys and conversions."""
        if len(where) > MAX_DEPTH or len(self.lines) > MAX_VALUES:
            raise _yaml_error(
                node, f"too large; allowed: {MAX_DEPTH} levels, {MAX_VALUES} values (anchors count each time)"
            )
        if isinstance(node, yaml.ScalarNode):
            try:
                value = self.loader.construct_object(node)
            except ValueError as error:  # for example 2020-13-01, which is not a valid date
                raise _yaml_error(node, f"{error}; put text in quotes") from error
            if message := misread_number(node, value):
                self.misread[where] = Problem(where, message)
            elif note := implicit_conversion(node, value):
                self.conversions[where] = note
            return value
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _yaml_error(node, f"the tag {node.tag} is not allowed; remove it")
        if isinstance(node, yaml.SequenceNode):
            return [self._value_with_line(item, item, (*where, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # the third and last kind of node
        data: dict[str, Any] = {}
        for key, key_node, value_node in self._entries(node, where):
            if key in data:
                field = ".".join(map(str, (*where, key)))
                first = self.lines[*where, key]
                line = key_node.start_mark.line + 1
                self.duplicates.append((line, f"{field}: is already in line {first}; keep one"))
            else:
                data[key] = self._value_with_line(key_node, value_node, (*where, key))
        return data

    def _entries(self, node: yaml.MappingNode, where: Where) -> list[Entry]:
        """A mapping's entries; entries merged by `<<: *anchor` that it does not override come first."""
        own: list[Entry] = []
        merged: dict[str, Entry] = {}  # the first of several anchors wins
        inside = where[2:] if where[:1] == ("presets",) else where
        keys_are_factors = (len(inside) == 1 and inside[0] in _FACTOR_SECTIONS) or (
            len(inside) == 2 and inside[0] == _NESTED_FACTOR_SECTION
        )
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in parts:
                    self.merges += 1
                    if not isinstance(part, yaml.MappingNode) or self.merges > MAX_VALUES:
                        message = "<<: takes an anchored mapping, or a list of them: `<<: *name`"
                        raise _yaml_error(key_node, message)
                    for entry in self._entries(part, where):
                        merged.setdefault(entry[0], entry)
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            own.append((dotted_path(key) if keys_are_factors else key, key_node, value_node))
        own_keys = {key for key, *_ in own}
        return [*(entry for key, entry in merged.items() if key not in own_keys), *own]

    def _value_with_line(self, line_node: yaml.Node, node: yaml.Node, where: Where) -> Any:
        self.lines[where] = line_node.start_mark.line + 1
        return self._value(node, where)

    def _line(self, where: Where) -> int:
        """The line of a value, or of the innermost enclosing value that the file contains."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


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


def _is_item(at: Where, where: Where) -> bool:
    """Whether `at` is an item of the list at `where`."""
    return at[:-1] == where and isinstance(at[-1], int)


def _yaml_error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _syntax_message(error: yaml.MarkedYAMLError) -> str:
    """Line number and message of a syntax error."""
    mark = error.problem_mark or error.context_mark
    hint = "; indent with spaces, not tabs" if "\\t" in (error.problem or "") else ""
    context = f" ({error.context})" if error.context else ""
    return f"{mark.line + 1 if mark else 1}: {error.problem or error.context}{context}{hint}"
