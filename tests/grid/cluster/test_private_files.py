"""The token and the folder of a Ray that a run starts for itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from qcrd.grid.cluster.private_files import (
    TOKEN_VARIABLES,
    protect_token,
    remove_old_sessions,
    session_folder,
)

STRANGER = """
import json, psutil
from qcrd import cli

def look(**options):
    from qcrd.grid.cluster.connection import cluster

    with cluster():
        processes = [psutil.Process(), *psutil.Process().children(recursive=True)]
        found = [c for p in processes for c in p.net_connections("inet") if c.status == psutil.CONN_LISTEN]
        lines = [" ".join(p.cmdline()) for p in processes]
        print(json.dumps({"addresses": sorted({c.laddr.ip for c in found}), "lines": lines}))

cli.app = look
cli.main()
"""
"""What the command line sets up, with a look at Ray in place of a command."""


@pytest.fixture
def token(tmp_path, monkeypatch):
    """Where it is, in a home of its own."""
    for name in (*TOKEN_VARIABLES, "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ray" / "auth_token"


def test_it_is_made_once_and_for_its_user_alone(token):
    protect_token()
    first = token.read_text()
    protect_token()
    assert token.read_text() == first and len(first) == 64
    assert token.stat().st_mode & 0o777 == 0o600


def test_one_that_ray_left_open_is_closed_and_kept(token):
    token.parent.mkdir()
    token.write_text("f00")
    token.chmod(0o644)
    protect_token()
    assert token.read_text() == "f00" and token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [*TOKEN_VARIABLES, "RAY_AUTH_MODE"])
def test_none_is_made_where_another_holds_or_none_is_wanted(token, monkeypatch, name):
    monkeypatch.setenv(name, "disabled")
    protect_token()
    assert not token.exists()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.delenv("RAY_TMPDIR", raising=False)
    monkeypatch.setattr("qcrd.grid.cluster.private_files.TEMPORARY_FOLDER", tmp_path)
    return tmp_path


def test_sessions_are_where_nobody_else_can_go_and_always_at_the_same_place(temporary):
    first = Path(session_folder())
    assert session_folder() == str(first) and first.parent.parent == temporary
    assert first.parent.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_another_account_could_have_made_is_not_taken(temporary):
    own = Path(session_folder()).parent
    own.chmod(0o777)
    other = Path(session_folder()).parent
    assert other != own and other.stat().st_mode & 0o777 == 0o700
    own.rmdir()
    (temporary / "elsewhere").mkdir(mode=0o700)
    own.symlink_to(temporary / "elsewhere")
    assert Path(session_folder()).parent not in (own, temporary / "elsewhere")


def test_rays_own_variable_says_where(temporary, monkeypatch):
    monkeypatch.setenv("RAY_TMPDIR", "/somewhere")
    assert session_folder() == "/somewhere/ray" and list(temporary.iterdir()) == []


@pytest.mark.slow
def test_a_run_without_a_cluster_listens_on_loopback_and_shuts_others_out(tmp_path):
    unwanted = ("RAY_", "QCRD_")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    told = subprocess.run(
        [sys.executable, "-c", STRANGER],
        env=environment | {"HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert told.returncode == 0, told.stderr
    found = json.loads(told.stdout.splitlines()[-1])
    assert set(found["addresses"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"} and found["addresses"]
    secret = tmp_path / ".ray" / "auth_token"
    assert secret.stat().st_mode & 0o777 == 0o600
    sessions = [
        line.partition("--temp_dir=")[2].split()[0] for line in found["lines"] if "--temp_dir=" in line
    ]
    assert sessions and all(Path(each).parent.stat().st_mode & 0o077 == 0 for each in sessions)
    assert not [line for line in found["lines"] if secret.read_text() in line]


def test_of_rays_that_were_killed_only_the_last_ones_logs_stay(tmp_path):
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    names = [f"session_2026-01-0{day}_{pid}" for day, pid in ((1, gone.pid), (2, gone.pid), (3, os.getpid()))]
    for name in names:
        for part in ("sockets", "logs"):
            (tmp_path / name / part).mkdir(parents=True)
    (tmp_path / "session_latest").symlink_to(tmp_path / names[2])
    remove_old_sessions(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.glob("*/*")}
    assert left == {f"{names[1]}/logs"} | {
        f"{name}/{part}" for name in (names[2], "session_latest") for part in ("sockets", "logs")
    }
    remove_old_sessions(tmp_path, ended=os.getpid())
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.glob("s*6-01*/*")} == {f"{names[2]}/logs"}
    remove_old_sessions(tmp_path / "absent")
