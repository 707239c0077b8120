"""Settings that hold a folder, file or Hub id, in which ~ and environment variables are expanded."""

from __future__ import annotations

import os
import re

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
