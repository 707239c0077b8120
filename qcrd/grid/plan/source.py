"""A grid's YAML: its values with the line of each, and settings from the command line that replace them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from qcrd.config import Grid
from qcrd.errors import ConfigError
from qcrd.grid.plan.factors import dotted_path, sections
from qcrd.grid.plan.nested import delete, get, put, replace_value
from qcrd.grid.plan.option import changed_values, comment, location, nested_yaml
from qcrd.grid.plan.problems import Problem, Where, yaml_text
from qcrd.grid.plan.scalars import Loader, implicit_conversion, misread_number

MAX_DEPTH = 12  # levels of nesting
MAX_VALUES = 200_000  # in a file; YAML anchors could expand without limit
_FIELDS = ", ".join(Grid.model_fields)
_MERGE = "tag:yaml.org,2002:merge"
Entry = tuple[str, yaml.Node, yaml.Node]  # of a mapping: key, the key's node, the value's node


class Source:
    """A file's data and the line of each value.

    A setting of a cell may be written with its short name, its dotted path or in nested sections. `data` has
    nested sections in `base`, and dotted paths in `sweep`, `product` and `variants`.

    Args:
        text: the YAML.
        path: the file, or the option of the command line, for messages.
        numbered: whether messages name the line.

    Raises:
        ConfigError: if the text is not YAML or not a mapping.
    """

    def __init__(self, text: str, path: str | Path, numbered: bool = True):
        self.path = path
        self.numbered = numbered
        self.lines: dict[Where, int] = {}
        self.options: dict[Where, str] = {}  # of the command line, by the value that each replaces
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
            raise ConfigError(f"{self._at(line)}: invalid character: {error.reason}; remove it") from error
        except yaml.MarkedYAMLError as error:
            line, message = _syntax_error(error)
            raise ConfigError(f"{self._at(line)}: {message}") from error
        except RecursionError as error:
            raise ConfigError(f"{self._at(1)}: nested too deeply; allowed: {MAX_DEPTH} levels") from error
        if data is None:
            raise ConfigError(f"{self._at(1)}: the file is empty; a grid needs at least `name: ...`")
        if not isinstance(data, dict):
            raise ConfigError(f"{self._at(1)}: value {yaml_text(data)}; allowed: a mapping with {_FIELDS}")
        self.data: dict[str, Any] = data

    def change(self, setting: str) -> None:
        """Replace a value by a setting from the command line, in every preset.

        Args:
            setting: KEY=VALUE, with a setting of a cell (`beta=0.3`, which belongs to `base`) or of the grid
                (`seeds=5`, `sweep.tau=[0, 1]`), and a value in YAML's notation.

        Raises:
            ConfigError: if it is not KEY=VALUE, or the value is not YAML.
        """
        option = f"--set {setting}"
        key, equals, text = (part.strip() for part in setting.partition("="))
        if not (key and equals and text) or "\n" in text:
            raise ConfigError(
                f"{option}: allowed: KEY=VALUE, such as beta=0.3 or sweep.tau=[0,1] (null: no value)"
            )
        if not all(part.strip() for part in key.split(".")):
            raise ConfigError(f"{option}: {key!r} has an empty part between its dots; remove the dot")
        where = location(key)
        change = Source(nested_yaml(where, text), option, numbered=False)
        change.raise_if_any([])
        if ignored := comment(text):
            raise ConfigError(f"{option}: YAML reads {ignored!r} as a comment; put the value in quotes")
        values = list(changed_values(change.data, where))
        if not values:
            raise ConfigError(f"{option}: the section is empty; name the settings to change")
        presets = self.data.get("presets")
        for at, value in values:
            for overlay in presets.values() if isinstance(presets, dict) else ():
                delete(overlay, at)
            replace_value(self.data, at, value, option)
            for located in (self.lines, self.misread, self.conversions):
                for old in [old for old in located if old[: len(at)] == at]:
                    located.pop(old)
            self.options[at] = option
        self.conversions |= change.conversions

    def check_changes(self) -> None:
        """Refuse settings from the command line that the file's product or variants replace in every cell.

        Raises:
            ConfigError: with the setting to change instead.
        """
        presets = self.data.get("presets")
        parts: dict[Where, Any] = {(): self.data}
        if isinstance(presets, dict):
            parts |= {("presets", name): overlay for name, overlay in presets.items()}
        for where, option in self.options.items():
            if where[0] != "base" or len(where) == 1:
                continue
            path = ".".join(map(str, where[1:]))
            for prefix, part in parts.items():
                if path in (get(part, ("product",)) or {}):
                    line = self._label((*prefix, "product", path))
                    raise ConfigError(
                        f"{option}: {line} lists the values of {path} for every cell; "
                        f"allowed: --set product.{path}=[{yaml_text(get(self.data, where))}]"
                    )
            variants = self.data.get("variants")
            if isinstance(variants, dict) and variants and all(path in (v or {}) for v in variants.values()):
                raise ConfigError(
                    f"{option}: every variant sets {path}; allowed: --set variants.NAME.{path}=VALUE with "
                    f"a NAME of {', '.join(map(str, variants))}"
                )

    def raise_if_any(self, problems: list[Problem]) -> None:
        """Raise a ConfigError with all distinct problems, sorted by line, if there are any."""
        messages = {(line, self._at(line), message) for line, message in self.duplicates}
        messages |= {(self._line(p.where), self._label(p.where), str(p)) for p in self.misread.values()}
        # Other errors about a misread number follow from its unexpected value.
        others = (p for p in problems if p.where not in self.misread)
        messages |= {(self._line(p.where), self._label(p.where), self._with_conversion(p)) for p in others}
        if messages:
            raise ConfigError("\n".join(f"{label}: {message}" for _, label, message in sorted(messages)))

    def in_preset_section(self, preset: str, problem: Problem) -> Problem:
        """The problem located below `presets`, if the file or the command line sets the value there."""
        where = ("presets", preset, *problem.where)
        here = where in self.lines or any(where[:end] in self.options for end in range(2, len(where) + 1))
        return replace(problem, where=where) if here else problem

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
        first_lines: dict[str, int] = {}
        for key, key_node, value_node in self._entries(node, where):
            parts = key.split(".") if _section_of(where) == "base" else [key]
            line = key_node.start_mark.line + 1
            if key in first_lines:
                field = ".".join(map(str, (*where, key)))
                self.duplicates.append((line, f"{field}: is already in line {first_lines[key]}; keep one"))
                continue
            first_lines[key] = line
            for end in range(1, len(parts)):
                self.lines.setdefault((*where, *parts[:end]), line)
            whole = (*where, *parts)
            earlier = self._line(whole)
            if not put(data, parts, self._value_with_line(key_node, value_node, whole)):
                field = ".".join(map(str, whole))
                self.duplicates.append((line, f"{field}: does not go with line {earlier}; keep one of them"))
        return data

    def _entries(self, node: yaml.MappingNode, where: Where) -> Iterator[Entry]:
        """A mapping's entries; where it holds settings of a cell, one per setting, with its dotted path."""
        holds_settings = _section_of(where) is not None
        for entry in self._merged(node):
            yield from self._settings(*entry) if holds_settings else [entry]

    def _settings(
        self, key: str, key_node: yaml.Node, value_node: yaml.Node, prefix: str = ""
    ) -> Iterator[Entry]:
        """The settings in an entry, each with its dotted path; those of nested sections one by one."""
        path = f"{prefix}{key}"
        if isinstance(value_node, yaml.MappingNode) and path in sections():
            for entry in self._merged(value_node):
                yield from self._settings(*entry, f"{path}.")
        else:
            yield path if prefix else dotted_path(key), key_node, value_node

    def _merged(self, node: yaml.MappingNode) -> list[Entry]:
        """A mapping's entries; entries merged by `<<: *anchor` that it does not override come first."""
        own: list[Entry] = []
        merged: dict[str, Entry] = {}  # the first of several anchors wins
        for key_node, value_node in node.value:
            if key_node.tag == _MERGE:
                parts = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for part in parts:
                    self.merges += 1
                    if not isinstance(part, yaml.MappingNode) or self.merges > MAX_VALUES:
                        message = "<<: takes an anchored mapping, or a list of them: `<<: *name`"
                        raise _yaml_error(key_node, message)
                    for entry in self._merged(part):
                        merged.setdefault(dotted_path(entry[0]), entry)
                continue
            own.append(
                (key_node.value if isinstance(key_node, yaml.ScalarNode) else "?", key_node, value_node)
            )
        own_keys = {dotted_path(key) for key, *_ in own}
        return [*(entry for key, entry in merged.items() if key not in own_keys), *own]

    def _value_with_line(self, line_node: yaml.Node, node: yaml.Node, where: Where) -> Any:
        self.lines[where] = line_node.start_mark.line + 1
        return self._value(node, where)

    def _line(self, where: Where) -> int:
        """The line of a value, or of the innermost enclosing value that the file contains."""
        while where and where not in self.lines:
            where = where[:-1]
        return self.lines.get(where, 1)

    def _label(self, where: Where) -> str:
        """File and line of a value, or the option of the command line that replaced it."""
        for end in range(len(where), 0, -1):
            if where[:end] in self.options:
                return self.options[where[:end]]
            if where[:end] in self.lines:
                break
        if where and where not in self.lines:  # perhaps the command line put something below it
            for at, option in self.options.items():
                if at[: len(where)] == where:
                    return option
        return self._at(self._line(where))

    def _at(self, line: int) -> str:
        return f"{self.path}:{line}" if self.numbered else str(self.path)


def _is_item(at: Where, where: Where) -> bool:
    """Whether `at` is an item of the list at `where`."""
    return at[:-1] == where and isinstance(at[-1], int)


def _yaml_error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)


def _syntax_error(error: yaml.MarkedYAMLError) -> tuple[int, str]:
    """Line number and message of a syntax error."""
    mark = error.problem_mark or error.context_mark
    hint = "; indent with spaces, not tabs" if "\\t" in (error.problem or "") else ""
    context = f" ({error.context})" if error.context else ""
    return mark.line + 1 if mark else 1, f"{error.problem or error.context}{context}{hint}"


def _section_of(where: Where) -> str | None:
    """The section (base, sweep, product, variants) if the mapping at `where` holds settings of a cell."""
    inside = where[2:] if where[:1] == ("presets",) else where
    if len(inside) == 1 and inside[0] in ("base", "sweep", "product"):
        return str(inside[0])
    return "variants" if len(inside) == 2 and inside[0] == "variants" else None
