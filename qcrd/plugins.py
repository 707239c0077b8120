"""Plugins: the user's files and modules that register schemes, methods, tasks and other components.

Only plugins that the user names in a grid or has installed are loaded; data, models and records never cause
code to be loaded. The driver reads a plugin file once and sends its text to the workers, so that all of them
run the same code even if the file changes later.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from hashlib import sha256
from importlib import import_module, metadata
from importlib.abc import SourceLoader
from importlib.util import find_spec, module_from_spec, spec_from_loader
from pathlib import Path
from typing import ParamSpec, TypeVar

from qcrd.config.paths import replaced
from qcrd.errors import ConfigError
from qcrd.fingerprint import LENGTH, fingerprint, fingerprint_file
from qcrd.moved import new_path
from qcrd.storage.files import atomic

GROUP = "qcrd.plugins"
"""Entry-point group in which installed packages declare their plugins."""

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Plugin:
    """One plugin file or module."""

    name: str  # as the user wrote it
    module: str  # dotted name under which it is imported
    code: str  # fingerprint of its code; part of the ids of results that use it
    text: bytes | None = None  # content of a file; None for a module, which is installed on every node


_loaded: dict[str, Plugin] = {}  # by module
_loading: list[tuple[Plugin, list[Callable[[], object]]]] = []  # with callbacks that undo its registrations


def load(names: Sequence[str], folder: Path) -> None:
    """Load plugins, unless they are already loaded in this process.

    Args:
        names: files (`own/scheme.py`, with ~ and environment variables) or modules (`package.scheme`).
        folder: base folder of relative file paths.

    Raises:
        ConfigError: if a plugin does not exist, cannot be imported or registers a name that is taken.
    """
    load_installed()
    for name in names:
        _load(_of_file(name, folder) if name.endswith(".py") else _of_module(name))


@cache
def load_installed() -> None:
    """Load the plugins that installed packages declare as entry points of the group `qcrd.plugins`.

    Raises:
        ConfigError: as `load`.
    """
    for point in sorted(metadata.entry_points(group=GROUP), key=lambda point: point.value):
        _load(_of_module(point.module))


def loaded() -> tuple[Plugin, ...]:
    """Plugins loaded in this process."""
    return tuple(_loaded.values())


def keep(folder: Path) -> list[Path]:
    """Copy loaded plugin files into a folder, as CODE.py, to document which code produced a result.

    Nothing is ever loaded from that folder.

    Returns:
        Newly written files.
    """
    new = []
    for plugin in loaded():
        path = folder / f"{plugin.code}.py"
        if plugin.text is not None and not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            with atomic(path) as temporary:
                temporary.write_bytes(plugin.text)
            new.append(path)
    return new


def carried(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap a function for another process, where it first loads the plugins loaded in this process."""
    to_load = loaded()

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        for plugin in to_load:
            _load(plugin)
        return function(*args, **kwargs)

    return call


def loading() -> Plugin | None:
    """The plugin that is currently being loaded; None outside of `load`."""
    return _loading[-1][0] if _loading else None


def on_failure(undo: Callable[[], object]) -> None:
    """Register a callback that undoes a registration if loading the current plugin fails."""
    _loading[-1][1].append(undo)


def _of_file(name: str, folder: Path) -> Plugin:
    try:
        path = folder / replaced(name)
        text = path.read_bytes()
    except ValueError as error:
        raise ConfigError(f"plugin {name!r}: {error}") from error
    except OSError as error:
        reason = "there is nothing at" if isinstance(error, FileNotFoundError) else "cannot be read:"
        raise ConfigError(
            f"plugin {name!r}: {reason} {path}; allowed: a Python file, relative to the file that names it, "
            "or an installed module"
        ) from error
    code = sha256(text).hexdigest()[:LENGTH]
    return Plugin(str(path), f"qcrd_plugin_{code}", code, text)


def _of_module(name: str) -> Plugin:
    try:
        spec = find_spec(name)
    except Exception as error:  # importing its parent package may raise anything
        raise ConfigError(f"plugin {name!r}: {error}") from error
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        raise ConfigError(
            f"plugin {name!r}: there is no such module of Python code; allowed: a file, as file.py, or a "
            "module that is installed on every node"
        )
    file = Path(spec.origin)
    if spec.parent:  # in a package: fingerprint all its files, which the module may import
        top = _outermost(file, spec.parent)
        code = fingerprint(
            {f.relative_to(top).as_posix(): fingerprint_file(f) for f in sorted(top.rglob("*.py"))}
        )
    else:
        code = fingerprint_file(file)
    return Plugin(name, name, code)


def _outermost(file: Path, package: str) -> Path:
    """Folder of the outermost regular package that contains a module.

    Namespace packages are ignored, because unrelated packages may share them; within namespace packages only,
    the module's own folder.
    """
    parents = file.parents[: package.count(".") + 1]
    return next((folder for folder in reversed(parents) if (folder / "__init__.py").exists()), file.parent)


def _load(plugin: Plugin) -> None:
    previous = _loaded.get(plugin.module)
    if previous is not None and previous.code == plugin.code:
        return
    if plugin.text is None and _of_module(plugin.name).code != plugin.code:
        raise ConfigError(
            f"plugin {plugin.name!r}: this node has another version of it than the one that asks; install "
            "the same on every node"
        )
    if any(other.name == plugin.name for other in loaded()):
        raise ConfigError(f"plugin {plugin.name!r}: changed since it was loaded; start the process anew")
    with _undone_on_failure(plugin):
        if plugin.text is None:
            import_module(plugin.module)
        else:
            _import_text(plugin, plugin.text)
    _loaded[plugin.module] = plugin


@contextmanager
def _undone_on_failure(plugin: Plugin) -> Iterator[None]:
    undo: list[Callable[[], object]] = []
    _loading.append((plugin, undo))
    try:
        yield
    except (Exception, SystemExit) as error:
        for step in undo:
            step()
        sys.modules.pop(plugin.module, None)
        raise ConfigError(f"plugin {plugin.name!r}: {_worded(error, plugin)}") from error
    finally:
        _loading.pop()


def _worded(error: BaseException, plugin: Plugin) -> str:
    """Message for an error in a plugin, with the line."""
    if isinstance(error, SyntaxError):
        line, what = error.lineno, f"not Python: {error.msg}"
    else:
        frames = traceback.extract_tb(error.__traceback__)
        line = next((f.lineno for f in reversed(frames) if f.filename == plugin.name), None)
        what = str(error) if isinstance(error, ConfigError) else f"{type(error).__name__}: {error}"
    if isinstance(error, ImportError) and (moved := new_path(error)):
        what += f"; {moved}"
    where = f"line {line}: " if line else ""
    return f"{where}{what}; mend it, or do without (remove it from `plugins:`, or uninstall it)"


class _TextLoader(SourceLoader):
    """Imports a module from its source text in memory."""

    def __init__(self, filename: str, text: bytes):
        self.filename, self.text = filename, text

    def get_filename(self, fullname: str) -> str:
        return self.filename

    def get_data(self, path: str) -> bytes:
        return self.text


def _import_text(plugin: Plugin, text: bytes) -> None:
    loader = _TextLoader(plugin.name, text)
    spec = spec_from_loader(plugin.module, loader, origin=plugin.name)
    if spec is None:
        raise ImportError(f"no module can be made of {plugin.name}")
    module = module_from_spec(spec)
    sys.modules[plugin.module] = module  # dataclasses and pickle look up definitions there
    loader.exec_module(module)
