"""Permission checks: secrets that others can read, and a home that every account can write to."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from qcrd.doctor.check import Check, error, ok, warning
from qcrd.storage.home import Home

SECRETS = ("local/ray_token", "local/mlflow_password")
"""Files below the home that `cluster/local.sh` creates."""


def access(home: Home) -> Iterator[Check]:
    """Report secrets readable by others and a world-writable home; a group-writable home is allowed."""
    for path in (home.root / name for name in SECRETS):
        if path.exists() and (check := private("secrets", path)).state != "ok":
            yield check
    if home.root.exists() and home.root.stat().st_mode & stat.S_IWOTH:
        yield warning(
            "access",
            f"every account can write to {home.root} and change results",
            f"chmod o-w {home.root}",
        )


def private(name: str, path: Path) -> Check:
    """Check that only its owner can read a file with a secret.

    Raises:
        OSError: if the file does not exist.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return error(name, f"{path} has mode {mode:o}: others can read it", f"chmod 600 {path}")
    return ok(name, f"{path}, mode {mode:o}")
