"""Settings that hold a folder, file or Hub id: ~ and environment variables in them, and relative paths."""

from __future__ import annotations

import os
import re
from pathlib import Path

PLACES = (
    "task.source",
    "task.prompt",
    "teacher.model",
    "teacher.path",
    "teacher.base_url",
    "student.checkpoint",
    "student.tokenizer",
    "student.prompt",
    "discriminator.checkpoint",
    "selection.measured_by",
)
"""Dotted paths of these settings."""

_FILES = ("task.prompt", "teacher.path", "student.prompt")  # never Hub ids
_NAMES = ("embedded", "smollm2-135m", "plain", "chat")  # values with a meaning of their own

_SECRET = re.compile(r"(^|_)(API)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def variables(text: str) -> set[str]:
    """Names of the environment variables in `text`, written ${NAME} or $NAME."""
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def secret(name: str) -> bool:
    """Whether an environment variable holds a key, token or password, judging by its name."""
    return _SECRET.search(name) is not None


def replaced(text: str) -> str:
    """Expand ${NAME}, $NAME and a leading ~ in `text`.

    Raises:
        ValueError: if a variable is unset, empty, or a secret by its name.
    """

    def value(match: re.Match[str]) -> str:
        name = match[1] or match[2]
        if secret(name):
            raise ValueError(
                f"value {text!r}, but {name} is a secret by its name, and places are written into records, "
                "logs and MLflow; allowed: variables that name folders, files or addresses"
            )
        if not os.environ.get(name):
            raise ValueError(
                f"value {text!r}, but the environment variable {name} is not set; export {name}=... (for "
                "`ray job submit` put it into --runtime-env-json: a job sees the cluster's environment, not "
                "the shell's) or write the path out"
            )
        return os.environ[name]

    return os.path.expanduser(_VARIABLE.sub(value, text))


def located(setting: str, value: str, folder: Path) -> str:
    """The value of a setting in `PLACES`, expanded, and absolute if it is a relative path.

    Args:
        setting: its dotted path.
        value: as written in a file.
        folder: the file's folder, which relative paths start from.

    Raises:
        ValueError: as `replaced`; if it is empty; or if the path exists in the working folder but not in
            `folder`.
    """
    if not value.strip():
        raise ValueError(f"value {value!r} is empty; allowed: a folder, a file or a Hub id, or null")
    value = replaced(value)
    if setting == "teacher.base_url" or value in _NAMES or os.path.isabs(value):
        return value
    inside = os.path.abspath(folder / value)
    if os.path.exists(inside) or value.startswith((".", os.sep)):
        return inside
    if os.path.exists(value):
        raise ValueError(
            f"value {value!r} is in the working folder, but paths in a grid start from the grid's folder; "
            f"allowed: {os.path.relpath(value, folder)!r} or an absolute path"
        )
    return inside if setting in _FILES else value
