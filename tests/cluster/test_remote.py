"""Grids submitted from a laptop: the hook's command, and a head (`node.sh`) with another home and folder."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from apart import apart, only_where_possible

REPOSITORY = Path(__file__).parents[2]
sys.path.append(str(REPOSITORY / "cluster" / "hook"))
import grid_job  # noqa: E402

PROGRAM = """
import glob, os, sys
print("arguments", sys.argv[1:], "files", sorted(os.listdir()), glob.glob("*/large*"))
print("home", os.environ["QCRD_HOME"], "runs", os.environ["MLFLOW_TRACKING_URI"], "user", os.environ["HOME"])
"""
REMOTE = """
set -e
laptop=$1 head=$2 venv=$3 user=$4
export PATH=$venv/bin:$PATH QCRD_VENV=$venv
exports=$(HOME=$user "$laptop/cluster/remote.sh" 2>/dev/null)
mkdir -p "$head/user/.ray"
cp "$user/.ray/auth_token" "$head/user/.ray/"
HOME=$head/user QCRD_HOME=$head/home MLFLOW_TRACKING_URI=http://runs RAY_BOOTSTRAP_CONFIG= \
  "$head/cluster/node.sh" head >/dev/null 2>&1
eval "$exports"
cd "$laptop"
HOME=$user ray job submit grids/small.yaml
export HOME=$laptop RAY_AUTH_TOKEN=wrong
if ray job submit grids/small.yaml >/dev/null 2>&1; then echo LET IN; fi
"""


def command(words: str, entrypoint: str, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the hook makes of `ray WORDS`, of which Ray took `entrypoint` for the job's."""
    called = []
    monkeypatch.setattr(sys, "argv", ["ray", *words.split()])
    monkeypatch.setattr(os, "execve", lambda program, arguments, environment: called.append(arguments))
    monkeypatch.chdir(REPOSITORY)
    grid_job.submit(entrypoint=tuple(entrypoint.split()), working_dir=None, address=None)
    return called[0][3:] if called else []


LONG = ["--working-dir", str(REPOSITORY), "--", "python", "-m", "qcrd", "run", "grids/table5.yaml"]


@pytest.mark.parametrize(
    ("words", "entrypoint", "options", "more"),
    [
        ("job submit grids/table5.yaml", "grids/table5.yaml", [], []),
        ("job submit ./grids/table5.yaml --no-wait", "./grids/table5.yaml", ["--no-wait"], []),
        ("job submit --address a -- grids/table5.yaml --preset b", "grids/table5.yaml --preset b",
         ["--address", "a"], ["--preset", "b"]),
    ],
)  # fmt: skip
def test_a_grid_becomes_the_long_command_with_all_options(words, entrypoint, options, more, monkeypatch):
    assert command(words, entrypoint, monkeypatch) == ["job", "submit", *options, *LONG, *more]


def test_another_job_stays_as_it_is(monkeypatch: pytest.MonkeyPatch):
    assert (
        command("job submit -- python a.py grids/table5.yaml", "python a.py grids/table5.yaml", monkeypatch)
        == []
    )


def test_a_grid_that_would_not_be_uploaded_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "mine.yaml").touch()
    with pytest.raises(SystemExit, match=r"is not below .*copy it into its grids/"):
        command(f"job submit {tmp_path}/mine.yaml", f"{tmp_path}/mine.yaml", monkeypatch)
    with pytest.raises(SystemExit, match="no such grid"):
        command("job submit grids/absent.yaml", "grids/absent.yaml", monkeypatch)


def test_the_shell_gets_a_token_that_nobody_else_can_read(tmp_path: Path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    script = [REPOSITORY / "cluster" / "remote.sh"]
    lines = subprocess.run(script, env=environment, capture_output=True, text=True, check=True).stdout
    token = tmp_path / ".ray" / "auth_token"
    assert token.stat().st_mode & 0o777 == 0o600 and len(token.read_text()) == 64
    assert "export RAY_JOB_SUBMIT_HOOK=grid_job.submit\n" in lines and token.read_text() not in lines
    again = subprocess.run(script, env=environment, capture_output=True, text=True, check=True)
    assert again.stdout == lines and again.stderr == ""
    wrong = subprocess.run([*script, "head:8265"], env=environment, capture_output=True, text=True)
    assert wrong.returncode == 2 and "head:8265 is no address" in wrong.stderr


def test_a_machine_without_the_token_does_not_start(tmp_path: Path):
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "QCRD_VENV": sys.prefix}
    environment |= {"QCRD_HOME": str(tmp_path), "RAY_HEAD_IP": "127.0.0.1"}
    script = [REPOSITORY / "cluster" / "node.sh", "worker"]
    told = subprocess.run(script, env=environment, capture_output=True, text=True)
    assert told.returncode == 2 and "auth_token is missing" in told.stderr


@pytest.mark.slow
@only_where_possible
def test_the_literal_command_runs_a_grid_on_a_head_elsewhere(tmp_path: Path):
    laptop, head = tmp_path / "laptop", tmp_path / "head"
    for folder in (laptop, head):
        shutil.copytree(
            REPOSITORY / "cluster", folder / "cluster", ignore=shutil.ignore_patterns("__pycache__")
        )
    for name in ("qcrd", "grids", ".venv", "tests"):
        (laptop / name).mkdir()
        (laptop / name / "large.safetensors").write_bytes(bytes(1 << 20))
    shutil.copy(REPOSITORY / ".rayignore", laptop)
    (laptop / "qcrd" / "__main__.py").write_text(PROGRAM)
    (laptop / "grids" / "small.yaml").write_text("name: small\n")
    unwanted = ("RAY_", "MLFLOW_", "QCRD_", "PYTHONPATH")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
    with TemporaryDirectory() as short:  # a socket's path has at most 107 bytes
        job = subprocess.run(
            apart("bash", "-c", REMOTE, "remote", *map(str, (laptop, head, sys.prefix, tmp_path / "user"))),
            env=environment | {"RAY_TMPDIR": short},
            capture_output=True,
            text=True,
            timeout=280,
        )
    told = job.stdout + job.stderr
    assert "arguments ['run', 'grids/small.yaml']" in job.stdout, told
    assert "['.rayignore', 'cluster', 'grids', 'qcrd'] []" in job.stdout, told
    assert f"home {head}/home runs http://runs user {head}/user" in job.stdout
    assert "LET IN" not in job.stdout and "succeeded" in told
