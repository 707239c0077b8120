"""Environment variables in the settings that name a place."""

from __future__ import annotations

import os
import re

PLACES = (
    "task.source",
    "teacher.model",
    "teacher.path",
    "student.checkpoint",
    "student.tokenizer",
    "discriminator.checkpoint",
)
"""Dotted paths of the settings in which ~ and ${NAME} are replaced."""


def replaced(text: str) -> str:
    """`text` with ${NAME}, $NAME and a leading ~ replaced.

    Raises:
        ValueError: naming a variable that is not set, or set to nothing.
    """

    def value(match: re.Match) -> str:
        name = match[1] or match[2]
        if not os.environ.get(name):
            raise ValueError(
                f"value {text!r}, but the environment variable {name} is not set; "
                f"export {name}=... or write the path out"
            )
        return os.environ[name]

    return os.path.expanduser(re.sub(r"\$(?:\{(\w+)\}|(\w+))", value, text))
