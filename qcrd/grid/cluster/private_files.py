"""Protects the token, sockets and logs of a local Ray from other accounts of the machine.

Ray itself makes its token readable, and its session folder writable, for all accounts.
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

TOKEN_VARIABLES = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""Environment variables that set another token for Ray."""
TEMPORARY_FOLDER = Path("/tmp")  # noqa: S108 - created folders are checked; elsewhere, socket paths get too long


def protect_token() -> None:
    """Create Ray's token, or make an existing token file private. Must be called before Ray starts.

    Whoever has the token can run programs as this user, also over loopback.
    """
    if any(os.environ.get(name) for name in TOKEN_VARIABLES) or os.environ.get("RAY_AUTH_MODE") == "disabled":
        return
    path = Path.home() / ".ray" / "auth_token"
    # If the folder is not writable, Ray reports it.
    with contextlib.suppress(PermissionError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with open(path, "x", opener=_open_private) as file:
                file.write(secrets.token_hex(32))
        except FileExistsError:
            path.chmod(0o600)


def session_folder() -> str:
    """A folder for Ray's sessions inside a private folder, or inside RAY_TMPDIR if that is set."""
    if configured := os.environ.get("RAY_TMPDIR"):
        return f"{configured}/ray"  # as Ray does
    own_folder = TEMPORARY_FOLDER / f"qcrd-{os.getuid()}"
    with contextlib.suppress(FileExistsError):
        own_folder.mkdir(mode=0o700)
    status = own_folder.lstat()  # another account may have created it
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        own_folder = Path(tempfile.mkdtemp(prefix="qcrd-", dir=TEMPORARY_FOLDER))
    return str(own_folder / "ray")


def remove_old_sessions(sessions: Path, ended: int | None = None) -> None:
    """Remove the sockets of local Ray sessions that have ended, and the logs of all but the last one.

    Args:
        sessions: the folder from `session_folder`.
        ended: id of a process whose sessions have ended although it is alive; sessions of other processes
            have ended if the process is dead.
    """
    ended_sessions = [path for path in sorted(sessions.glob("session_*_*")) if not _alive(path, ended)]
    for path in ended_sessions[:-1]:
        shutil.rmtree(path, ignore_errors=True)
    for path in ended_sessions[-1:]:
        shutil.rmtree(path / "sockets", ignore_errors=True)


def _alive(session: Path, ended: int | None) -> bool:
    """Whether a session may be running, judged by the process id at the end of its name."""
    pid = session.name.rpartition("_")[2]
    if session.is_symlink() or not pid.isdecimal():
        return True
    return int(pid) != ended and psutil.pid_exists(int(pid))


def _open_private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
