"""Who else may read and write what is ours."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from qcrd.doctor.check import Check, error, ok, warning
from qcrd.storage.home import Home

SECRETS = ("local/ray_token", "local/mlflow_password")
"""Files of `cluster/local.sh` below the home."""


def access(home: Home) -> Iterator[Check]:
    """Secrets that others may read, and a home that all may write; a group may share one."""
    for path in (home.root / name for name in SECRETS):
        if path.exists() and (found := private("secrets", path)).state != "ok":
            yield found
    if home.root.exists() and home.root.stat().st_mode & stat.S_IWOTH:
        yield warning(
            "access",
            f"every account may write in {home.root}, and so change results",
            f"chmod o-w {home.root}",
        )


def private(name: str, path: Path) -> Check:
    """Whether a file with a secret is its user's alone.

    Raises:
        OSError: where there is none.
    """
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return error(name, f"{path} has mode {mode:o}: others may read it", f"chmod 600 {path}")
    return ok(name, f"{path}, mode {mode:o}")
