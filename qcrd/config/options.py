"""Free-form settings for plugins."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from qcrd.fingerprint import canonical


class Options(dict[str, Any]):
    """A mapping from names to plain values, validated by the plugin that reads it, in a `Section` of its own.

    Hashable like the sections that contain it; must not be modified.
    """

    # dict's type stub declares __hash__ as None; instances are never modified.
    def __hash__(self) -> int:  # type: ignore[override]
        return hash(canonical(self))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(
            cls._plain, handler.generate_schema(dict[str, Any])
        )

    @classmethod
    def _plain(cls, values: dict[str, Any]) -> Options:
        try:
            canonical(values)  # they enter ids
        except (TypeError, ValueError) as error:
            raise ValueError(f"only plain values are allowed: {error}") from error
        return cls(values)
