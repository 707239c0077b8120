"""Settings that name a place: a folder, a file or a Hub id, in which ~ and environment variables stand."""

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
    "discriminator.checkpoint",
    "selection.measured_by",
)
"""Their dotted paths."""

_SECRET = re.compile(r"(^|_)(API)?(KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)(_|$)", re.IGNORECASE)
_VARIABLE = re.compile(r"\$(?:\{(\w+)\}|(\w+))")


def variables(text: str) -> set[str]:
    """Names of the environment variables in `text`, written ${NAME} or $NAME."""
    return {match[1] or match[2] for match in _VARIABLE.finditer(text)}


def secret(name: str) -> bool:
    """Whether an environment variable is a key, a token or a password by its name."""
    return _SECRET.search(name) is not None


def replaced(text: str) -> str:
    """`text` with ${NAME}, $NAME and a leading ~ replaced.

    Raises:
        ValueError: naming a variable that is not set, or set to nothing, or that is a secret by its name.
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
