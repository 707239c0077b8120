"""Things of one kind by the name that a configuration says: the built-in ones, and those of plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from qcrd import plugins
from qcrd.errors import ConfigError, did_you_mean


class Named(Protocol):
    """What can be registered."""

    @property
    def name(self) -> str:
        """What a configuration says."""


T = TypeVar("T", bound=Named)


class Registry(dict[str, T]):
    """A mapping from names to things; a name that it lacks is looked for in installed plugins first.

    Args:
        setting: dotted path of the setting whose values the names are, such as `method`.
        kind: class, or runtime-checkable protocol, of the things.
        built_in: what the package itself has.

    Raises:
        ConfigError: on looking up a name that nobody registered; says which there are, and which may have
            been meant.
    """

    def __init__(self, setting: str, kind: type[object], built_in: Iterable[T]):
        super().__init__((thing.name, thing) for thing in built_in)
        self.setting, self.kind = setting, kind
        self._of: dict[str, plugins.Plugin] = {}  # the plugin that registered a name

    def register(self, thing: T) -> T:
        """Add a plugin's thing under its `name`; returns it.

        Raises:
            ConfigError: where it is of another kind, the name is taken, or the code that calls is not a
                plugin's, so that nobody could tell results of two versions of it apart.
        """
        plugin, name = plugins.loading(), getattr(thing, "name", None)
        if plugin is None:
            raise ConfigError(
                f"{self.setting}: {name!r} is registered outside of a plugin; name the file in a grid's "
                "`plugins:`, or load it by qcrd.plugins.load"
            )
        if isinstance(thing, type):
            raise ConfigError(f"{self.setting}: {thing!r} is a class; register one of it, {thing.__name__}()")
        if not isinstance(thing, self.kind):
            wanted = f"{self.kind.__module__}.{self.kind.__qualname__}"
            raise ConfigError(f"{self.setting}: {thing!r} is no {wanted}, or lacks some of what one has")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{self.setting}: {thing!r} has no name; give it one, a text in `name`")
        if name in self.keys():
            owner = f"plugin {self._of[name].name}" if name in self._of else "qcrd itself"
            raise ConfigError(f"{self.setting}: {name!r} is there already, from {owner}; choose another name")
        self[name] = thing
        self._of[name] = plugin
        plugins.on_failure(lambda: (self.pop(name), self._of.pop(name)))
        return thing

    def code(self, name: str) -> str | None:
        """Fingerprint of the code that a name stands for; None for a built-in one, whose is the package's."""
        return self._of[name].code if name in self._of else None

    def unknown(self, name: object) -> str:
        """What is said of a name that is not there."""
        meant = did_you_mean(str(name), self) or ", or what a plugin registers that `plugins:` names"
        return f"allowed: {', '.join(self)}{meant}"

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            plugins.load_installed()
        return super().__contains__(name)

    def __missing__(self, name: str) -> T:
        if name in self:
            return self[name]
        raise ConfigError(f"{self.setting}: value {name!r}; {self.unknown(name)}")
