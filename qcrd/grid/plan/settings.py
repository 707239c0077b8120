"""The reference of all settings as text: one setting, one section, all of them, and docs/settings.md."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from qcrd.config.reference import CELL, GRID, REQUIRED, Setting, SettingSection, reference
from qcrd.errors import ConfigError, did_you_mean, meant
from qcrd.grid.plan.factors import ALIASES, dotted_path, value_text, written_name
from qcrd.losses import SCHEMES
from qcrd.methods import METHODS
from qcrd.rationales.select import SELECTIONS
from qcrd.registry import Registry
from qcrd.tasks import TASKS
from qcrd.teacher.engines import ENGINES

WIDTH = 100
_REGISTRIES: tuple[Registry[Any], ...] = (METHODS, SCHEMES, SELECTIONS, TASKS, ENGINES)
_NAMES = {registry.setting: tuple(registry) for registry in _REGISTRIES}
_INTRODUCTION = """\
# All settings

Made by `qcrd settings --format md` from the types, defaults and docstrings in `qcrd/config/`; a test compares
this page with them. `qcrd settings beta` prints one setting, `qcrd settings contrastive` a section.

Settings of a cell are written below `base:`, `sweep:`, `product:` or `variants:` in a grid's file, or after
`--set`, by their short name (`beta`), dotted path (`contrastive.beta`) or as nested sections
(`contrastive: {beta: 0.2}`). Sections, equations and tables are those of the QCRD paper; DSS is Distilling
Step-by-Step. None is YAML's null. A default of a [preset](../qcrd/config/presets.py) replaces the
general one.
"""


def find(name: str) -> list[Setting | SettingSection]:
    """The setting or section with a name: a short name, a dotted path, or the end of a single one.

    A section that may be null, such as student.adapter, is a setting and a section.

    Raises:
        ConfigError: if there is none, or several.
    """
    sections = {section.name: section for section in reference()}
    settings = {setting.path: setting for section in reference() for setting in section.settings}
    path = dotted_path(name.removeprefix("base."))
    known = {*settings, *sections}
    ends = [path] if path in known else sorted(each for each in known if each.endswith(f".{path}"))
    if len(ends) == 1:
        return [table[ends[0]] for table in (settings, sections) if ends[0] in table]
    hint = meant(ends) or did_you_mean(path, {**ALIASES, **settings, **sections, **_ends(settings)})
    several = f"is the end of {len(ends)} settings" if ends else "there is no such setting"
    raise ConfigError(f"{name!r}: {several}; `qcrd settings` lists them{hint}")


def names() -> list[str]:
    """Short names, sections and dotted paths of all settings."""
    sections = [section.name for section in reference()]
    return [*ALIASES, *sections, *(setting.path for section in reference() for setting in section.settings)]


def overview() -> str:
    """All settings with their defaults, one line each."""
    lines = []
    for section in reference():
        lines.append(f"{_title(section)}: {section.description}")
        width = max(len(_name(setting)) for setting in section.settings)
        for setting in section.settings:
            lines.append(f"  {_name(setting):{width}}  {_defaults(setting)}")
    return "\n".join(lines)


def text(found: Iterable[Setting | SettingSection]) -> str:
    """Settings, and all settings of sections, in full."""
    blocks = []
    for each in found:
        if isinstance(each, SettingSection):
            blocks.append(_wrapped(f"{_title(each)}: {each.description}", ""))
        settings = each.settings if isinstance(each, SettingSection) else (each,)
        blocks += ["\n".join(_lines(setting)) for setting in settings]
    return "\n\n".join(blocks)


def markdown() -> str:
    """The page docs/settings.md."""
    parts = [_INTRODUCTION]
    for section in reference():
        rows = [
            "| "
            + " | ".join(_cell(text) for text in (_code(s), _allowed(s), _defaults(s), s.description))
            + " |"
            for s in section.settings
        ]
        head = "| setting | values | default | meaning |\n|---|---|---|---|"
        title = {CELL: "A cell: settings in no section", GRID: "The grid"}.get(section.name, section.name)
        parts.append(f"## {title}\n\n{section.description}\n\n{head}\n" + "\n".join(rows) + "\n")
    return "\n".join(parts)


def as_objects() -> list[dict[str, Any]]:
    """All settings as plain data."""
    return [
        {
            "path": setting.path,
            "short": _short(setting),
            "section": section.name,
            "allowed": _allowed(setting),
            "default": None if setting.default is REQUIRED else _plain(setting.default),
            "presets": {name: _plain(value) for name, value in setting.presets.items()},
            "required": setting.default is REQUIRED,
            "description": setting.description,
        }
        for section in reference()
        for setting in section.settings
    ]


def _lines(setting: Setting) -> Iterator[str]:
    yield _name(setting)
    yield _wrapped(setting.description)
    yield _wrapped(f"values: {_allowed(setting)}")
    yield _wrapped(f"default: {_defaults(setting)}")
    name, value = written_name(setting.path), _value(setting.default)
    if setting.path == "seed":
        yield "  in a grid: seeds: 3, or seeds: [0, 7]"
    elif setting.section != GRID and not setting.path.startswith("resources."):
        yield f"  in a grid: base: {{{name}: {value}}}, or sweep: {{{name}: [...]}}; --set {name}={value}"


def _wrapped(line: str, indent: str = "  ") -> str:
    return textwrap.fill(
        line,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _title(section: SettingSection) -> str:
    return {CELL: "a cell, in no section", GRID: "the grid"}.get(section.name, section.name)


def _short(setting: Setting) -> str | None:
    name = written_name(setting.path)
    return name if name != setting.path else None


def _name(setting: Setting) -> str:
    short = _short(setting)
    return f"{setting.path} (short: {short})" if short else setting.path


def _code(setting: Setting) -> str:
    short = _short(setting)
    return f"`{setting.path}`" + (f", short `{short}`" if short else "")


def _allowed(setting: Setting) -> str:
    names = _NAMES.get(setting.path)
    if names is None:
        return setting.allowed
    null = ", or null" if setting.allowed.endswith("null") else ""
    return f"{', '.join(names)}, or the name of a plugin's{null}"


def _defaults(setting: Setting) -> str:
    if setting.default is REQUIRED:
        return "none; it must be given"
    others = "".join(f"; {name}: {_value(value)}" for name, value in setting.presets.items())
    return _value(setting.default) + others


def _value(value: Any) -> str:
    """A value in YAML's notation."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_value(each)}" for key, each in value.items()) + "}"
    return '""' if value == "" else value_text(value)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _ends(settings: dict[str, Setting]) -> dict[str, Setting]:
    """The settings by the last parts of their paths."""
    return {path.rpartition(".")[2]: setting for path, setting in settings.items()}
