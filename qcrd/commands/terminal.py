"""Texts that models and data sets wrote, as a terminal may have them."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_TURNING = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that turn the direction of writing, and so what seems to stand where."""


def plain(text: str) -> str:
    """`text` with control characters written out: to a terminal they are commands.

    They move the cursor over what was printed, set its title, and in some terminals type for the user.
    """
    return "".join(_escaped(c) if c in _TURNING or _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in ("Cc", "Cs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
