"""Registries: components by the name that a configuration uses, built-in ones and those of plugins."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from qcrd import plugins
from qcrd.errors import ConfigError, did_you_mean


class Named(Protocol):
    """A component that can be registered."""

    @property
    def name(self) -> str:
        """Its name in configurations."""


T = TypeVar("T", bound=Named)


class Registry(dict[str, T]):
    """A mapping from names to components. Looking up a missing name first loads installed plugins.

    Args:
        setting: dotted path of the setting that selects a component, such as `method`.
        kind: class, or runtime-checkable protocol, of the components.
        built_in: components of the package itself.

    Raises:
        ConfigError: on looking up a name that is not registered; lists the names and suggests a similar one.
    """

    def __init__(self, setting: str, kind: type[object], built_in: Iterable[T]):
        super().__init__((component.name, component) for component in built_in)
        self.setting, self.kind = setting, kind
        self._plugins: dict[str, plugins.Plugin] = {}  # name -> plugin that registered it

    def register(self, component: T) -> T:
        """Add a plugin's component under its `name`; returns it.

        Raises:
            ConfigError: if the component has another type, its name is taken, or the caller is not a plugin
                (whose code is fingerprinted, so that results of two versions have different ids).
        """
        plugin, name = plugins.loading(), getattr(component, "name", None)
        if plugin is None:
            raise ConfigError(
                f"{self.setting}: {name!r} is registered outside of a plugin; name the file in a grid's "
                "`plugins:`, or load it by qcrd.plugins.load"
            )
        if isinstance(component, type):
            raise ConfigError(
                f"{self.setting}: {component!r} is a class; register an instance, {component.__name__}()"
            )
        if not isinstance(component, self.kind):
            expected = f"{self.kind.__module__}.{self.kind.__qualname__}"
            raise ConfigError(f"{self.setting}: {component!r} is no {expected}, or lacks some of its members")
        if not isinstance(name, str) or not name:
            raise ConfigError(f"{self.setting}: {component!r} has no name; set its `name` to a string")
        if name in self.keys():
            owner = f"plugin {self._plugins[name].name}" if name in self._plugins else "qcrd itself"
            raise ConfigError(f"{self.setting}: {name!r} is there already, from {owner}; choose another name")
        self[name] = component
        self._plugins[name] = plugin
        plugins.on_failure(lambda: (self.pop(name), self._plugins.pop(name)))
        return component

    def code(self, name: str) -> str | None:
        """Fingerprint of the plugin code behind a name; None for built-in components."""
        return self._plugins[name].code if name in self._plugins else None

    def unknown(self, name: object) -> str:
        """Message for a name that is not registered: the allowed names, and a suggestion."""
        suggestion = did_you_mean(str(name), self) or ", or what a plugin registers that `plugins:` names"
        return f"allowed: {', '.join(self)}{suggestion}"

    def __contains__(self, name: object) -> bool:
        if not super().__contains__(name):
            plugins.load_installed()
        return super().__contains__(name)

    def __missing__(self, name: str) -> T:
        if name in self:
            return self[name]
        raise ConfigError(f"{self.setting}: value {name!r}; {self.unknown(name)}")
