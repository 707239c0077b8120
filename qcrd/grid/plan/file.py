"""Reading a grid's YAML file, with the line of everything that is wrong in it."""

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
from qcrd.grid.plan.factors import dotted
from qcrd.grid.plan.problems import GridProblems, Problem, Where, shown, worded
from qcrd.grid.plan.scalars import Loader, misread, reading

DEEPEST = 12  # levels, and
LARGEST = 200_000  # values of a file: YAML's anchors could make it endless
_FIELDS = ", ".join(Grid.model_fields)
_SEEDS = "allowed: how many (3) or which ([0, 7]), a count from 1 up and seeds from 0 up"
_MERGE = "tag:yaml.org,2002:merge"
Entry = tuple[str, yaml.Node, yaml.Node]  # of a mapping: key as it counts, its node, the value's node
_FACTORS = ("sweep", "product")  # sections whose names may be the paper's symbols, and
_BELOW = "variants"  # one in which those of each entry may


@dataclass(frozen=True, slots=True)
class GridFile:
    """A grid as its file has it, and its cells in each preset that it was checked in."""

    grid: Grid
    expanded: dict[Preset, list[PlannedCell]]

    def cells(self, preset: Preset) -> list[PlannedCell]:
        """The grid's cells in a preset.

        Raises:
            GridProblems: where it was not checked in this preset, and does not fit it.
        """
        return self.expanded[preset] if preset in self.expanded else expand(self.grid, preset)


def read_grid(path: str | Path) -> GridFile:
    """The grid in a YAML file, checked down to its last cell.

    Nothing in the file is executed, but the plugins that it names are loaded. Factors may be written as the
    paper's symbols (`factors.ALIASES`); the grid has their dotted paths.

    Raises:
        ConfigError: with one line `file:line: field: ...` for everything that is wrong, in the file's order.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        near = ", ".join(sorted(str(p) for p in Path(path).parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"{path}: there is no such file; grids in that folder: {near}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as a text file ({error})") from error
    source = _Source(text, path)
    problems: list[Problem] = []
    try:
        grid = Grid.model_validate(source.data)
    except ValidationError as error:
        broken = error.errors()
        problems += _of_grid(broken)
        grid = _without(source.data, broken)  # so that the rest of the file is checked too
    if unloaded := list(_unloaded(grid.plugins, Path(path).parent)):
        source.report(problems + unloaded)  # without them every name of theirs would be unknown
    expanded: dict[Preset, list[PlannedCell]] = {}
    for preset in PRESETS if grid.preset == "auto" else (grid.preset,):
        try:
            expanded[preset] = expand(grid, preset)
        except GridProblems as error:
            problems += [source.within(preset, problem) for problem in error.problems]
    source.report(problems)
    return GridFile(grid, expanded)


class _Source:
    """A file's data and the line of each part of it."""

    def __init__(self, text: str, path: str | Path):
        self.path = path
        self.lines: dict[Where, int] = {}
        self.wrong: list[tuple[int, str]] = []  # line and message of keys that are there twice, and the like
        self.taken_over = 0  # mappings, by `<<`
        self.misread: dict[Where, Problem] = {}  # numbers that nobody reads as YAML does
        self.readings: dict[Where, str] = {}  # of values that YAML reads otherwise than they look
        try:
            self.loader = Loader(text)
            node = self.loader.get_single_node()
            data = None if node is None else self._plain(node, ())
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise ConfigError(f"{path}:{line}: not text: {error.reason}; remove the character") from error
        except yaml.MarkedYAMLError as error:
            raise ConfigError(f"{path}:{_syntax(error)}") from error
        except RecursionError as error:
            raise ConfigError(f"{path}:1: nested too deeply; allowed: {DEEPEST} levels") from error
        if data is None:
            raise ConfigError(f"{path}:1: the file is empty; a grid needs at least `name: ...`")
        if not isinstance(data, dict):
            raise ConfigError(f"{path}:1: value {shown(data)}; allowed: a mapping with {_FIELDS}")
        self.data: dict[str, Any] = data

    def report(self, problems: list[Problem]) -> None:
        """Raise a ConfigError with all problems, each once, by line, if there are any."""
        found = {*self.wrong, *((self._line(p.where), str(p)) for p in self.misread.values())}
        # What else is wrong with a number that was misread says nothing.
        others = (p for p in problems if p.where not in self.misread)
        found |= {(self._line(p.where), self._explained(p)) for p in others}
        if found:
            raise ConfigError("\n".join(f"{self.path}:{line}: {message}" for line, message in sorted(found)))

    def within(self, preset: str, problem: Problem) -> Problem:
        """The problem where the file says it for that preset alone, if it does."""
        where = ("presets", preset, *problem.where)
        return replace(problem, where=where) if where in self.lines else problem

    def _explained(self, problem: Problem) -> str:
        """The problem, and how YAML reads what is written there where it looks otherwise."""
        where = problem.where
        inside = (said for at, said in self.readings.items() if at == where or _is_item(at, where))
        said = next(inside, None)
        return f"{problem}; {said}" if said else str(problem)

    def _plain(self, node: yaml.Node, where: Where) -> Any:
        if len(where) > DEEPEST or len(self.lines) > LARGEST:
            raise _at(
                node, f"too large; allowed: {DEEPEST} levels, {LARGEST} values (anchors count each time)"
            )
        if isinstance(node, yaml.ScalarNode):
            try:
                value = self.loader.construct_object(node)
            except ValueError as error:  # 2020-13-01 looks like a date and is none
                raise _at(node, f"{error}; put text in quotes") from error
            if message := misread(node, value):
                self.misread[where] = Problem(where, message)
            elif said := reading(node, value):
                self.readings[where] = said
            return value
        if node.tag not in ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            raise _at(node, f"the tag {node.tag} is not allowed; remove it")
        if isinstance(node, yaml.SequenceNode):
            return [self._marked(item, item, (*where, i)) for i, item in enumerate(node.value)]
        assert isinstance(node, yaml.MappingNode)  # the third and last kind of node
        data: dict[str, Any] = {}
        for key, key_node, value_node in self._entries(node, where):
            if key in data:
                field = ".".join(map(str, (*where, key)))
                first = self.lines[*where, key]
                line = key_node.start_mark.line + 1
                self.wrong.append((line, f"{field}: is already in line {first}; keep one"))
            else:
                data[key] = self._marked(key_node, value_node, (*where, key))
        return data

    def _entries(self, node: yaml.MappingNode, where: Where) -> list[Entry]:
        """A mapping's entries, before them those that it takes over by `<<: *anchor` and has not itself."""
        own: list[Entry] = []
        merged: dict[str, Entry] = {}  # of several anchors the first counts
        inside = where[2:] if where[:1] == ("presets",) else where
        factors = inside in ((_FACTORS[0],), (_FACTORS[1],)) or (len(inside) == 2 and inside[0] == _BELOW)
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in parts:
                    self.taken_over += 1
                    if not isinstance(part, yaml.MappingNode) or self.taken_over > LARGEST:
                        raise _at(key_node, "<<: takes an anchored mapping, or a list of them: `<<: *name`")
                    for entry in self._entries(part, where):
                        merged.setdefault(entry[0], entry)
                continue
            key = key_node.value if isinstance(key_node, yaml.ScalarNode) else "?"
            own.append((dotted(key) if factors else key, key_node, value_node))
        names = {key for key, *_ in own}
        return [*(entry for key, entry in merged.items() if key not in names), *own]

    def _marked(self, marked: yaml.Node, node: yaml.Node, where: Where) -> Any:
        self.lines[where] = marked.start_mark.line + 1
        return self._plain(node, where)

    def _line(self, where: Where) -> int:
        """The line of a place, or of the nearest one around it that the file has."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)


def _unloaded(names: list[str], folder: Path) -> Iterator[Problem]:
    """Load the grid's plugins, without which its cells cannot be checked; yields what is wrong with them."""
    for i, name in enumerate(names):
        if name in names[:i]:
            yield Problem(("plugins", i), f"value {shown(name)} is there twice; remove one")
            continue
        try:
            plugins.load([name], folder)
        except ConfigError as error:
            yield Problem(("plugins", i), str(error))


def _of_grid(errors: list[ErrorDetails]) -> list[Problem]:
    """The problems that pydantic found in the grid itself (not in the cells that it stands for)."""
    problems: list[Problem] = []
    for error in errors:
        where, message = tuple(error["loc"]), worded(error, Grid)
        if "seeds" in where:  # one problem, not one for each form that it might have had
            where, message = where[: where.index("seeds") + 1], f"value {shown(error['input'])}; {_SEEDS}"
            if any(p.where == where for p in problems):
                continue
        elif error["type"] == "extra_forbidden" and where[0] in Cell.model_fields:
            message = f"is a setting of the cells; write it below `base:`, as base.{where[0]}"
        problems.append(Problem(where, message))
    return problems


def _without(data: dict[str, Any], errors: list[ErrorDetails]) -> Grid:
    """The grid without its broken parts."""
    kept = {key: dict(value) if isinstance(value, dict) else value for key, value in data.items()}
    for error in errors:
        part, *inner = error["loc"]
        if part in ("sweep", "product") and inner:
            kept[part].pop(inner[0], None)
        else:
            kept.pop(str(part), None)
    return Grid.model_validate({"name": "unnamed", **kept})


def _is_item(at: Where, where: Where) -> bool:
    """Whether `at` is an item of the list at `where`."""
    return at[:-1] == where and isinstance(at[-1], int)


def _at(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _syntax(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark or error.context_mark
    hint = "; indent with spaces, not tabs" if "\\t" in (error.problem or "") else ""
    context = f" ({error.context})" if error.context else ""
    return f"{mark.line + 1 if mark else 1}: {error.problem or error.context}{context}{hint}"
