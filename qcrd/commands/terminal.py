"""Makes untrusted texts (from models and data sets) safe to print to a terminal."""

from __future__ import annotations

import unicodedata

_KEPT = "\n\t"
_BIDIRECTIONAL = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of writing and so the visible order of the text."""


def plain(text: str) -> str:
    """`text` with control characters escaped, since terminals execute them.

    They can overwrite printed text, set the terminal's title and, in some terminals, insert user input.
    """
    return "".join(_escaped(c) if c in _BIDIRECTIONAL or _controls(c) else c for c in text)


def _controls(character: str) -> bool:
    return character not in _KEPT and unicodedata.category(character) in ("Cc", "Cs")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")
