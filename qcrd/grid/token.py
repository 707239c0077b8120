"""The token of a Ray of one's own: Ray writes it for every account of the machine to read."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path

ELSEWHERE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that give Ray another token."""


def keep_private() -> None:
    """Make the token that Ray would make, or take its file from others; to be called before Ray starts.

    Who has it can run programs as this user, on loopback too.
    """
    if any(os.environ.get(name) for name in ELSEWHERE) or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return
    path = Path.home() / ".ray" / "auth_token"
    # Where the folder cannot be written, Ray says so itself.
    with contextlib.suppress(PermissionError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "x", opener=_private) as file:
                file.write(secrets.token_hex(32))
        except FileExistsError:
            path.chmod(0o600)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
