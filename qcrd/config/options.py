"""Free-form settings, which mean something to a plugin alone."""

from __future__ import annotations

from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from qcrd.fingerprint import canonical


class Options(dict[str, Any]):
    """Names with plain values. What they may be, the plugin says that reads them, in a `Section` of its own.

    Hashable as the sections are that it is in; not to be changed.
    """

    # The stub of dict says that __hash__ is None; these are not changed once they are made.
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
