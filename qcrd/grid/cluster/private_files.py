"""What a Ray of one's own keeps from the machine's other accounts: its token, its sockets and its logs.

Ray itself makes the token's file readable, and its folder writable, for all of them.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import stat
import tempfile
from pathlib import Path

import psutil

ELSEWHERE = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Variables that give Ray another token."""
TEMPORARY = Path("/tmp")  # noqa: S108 - what is made there is checked; elsewhere paths of sockets get too long


def keep_token() -> None:
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


def folder() -> str:
    """A folder for Ray's sessions, in one that nobody else can enter; where RAY_TMPDIR is set, that one."""
    if wished := os.environ.get("RAY_TMPDIR"):
        return f"{wished}/ray"  # as Ray itself has it
    own = TEMPORARY / f"qcrd-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        own.mkdir(mode=0o700)
    found = own.lstat()  # another account may have been there first
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        own = Path(tempfile.mkdtemp(prefix="qcrd-", dir=TEMPORARY))
    return str(own / "ray")


def tidy(sessions: Path, ended: int | None = None) -> None:
    """Remove what Rays of one's own left: their sockets, and all but the last one's logs.

    Args:
        sessions: as `folder` gives it.
        ended: process whose Rays have ended though it is alive; of others only a dead one's have.
    """
    dead = [path for path in sorted(sessions.glob("session_*_*")) if not _alive(path, ended)]
    for path in dead[:-1]:
        shutil.rmtree(path, ignore_errors=True)
    for path in dead[-1:]:
        shutil.rmtree(path / "sockets", ignore_errors=True)


def _alive(session: Path, ended: int | None) -> bool:
    """Whether a session may be at work: the process that began it ends its name."""
    pid = session.name.rpartition("_")[2]
    if session.is_symlink() or not pid.isdecimal():
        return True
    return int(pid) != ended and psutil.pid_exists(int(pid))


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
