"""`cluster/local.sh` against a real Ray head and a real MLflow server, in a project folder of its own."""

import base64
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
import pytest

pytestmark = pytest.mark.slow
REPOSITORY = Path(__file__).parents[2]
PROGRAM = """
import os, sys
print("sent", {k: v for k, v in os.environ.items() if k.startswith("QCRD_TEST_")})
print("arguments", sys.argv[1:], "files", sorted(os.listdir()), "folder", os.getcwd())
if "--worker" in sys.argv:
    import ray
    ray.init(logging_level="error")
    print("worker's home", ray.get(ray.remote(lambda: os.environ["QCRD_HOME"]).remote()))
sys.exit(7 if "--fail" in sys.argv else 0)
"""


class Local:
    """A project folder with the scripts, one grid and a stand-in for the `qcrd` program, and a home."""

    def __init__(self, folder: Path):
        self.project, self.home = folder / "project", folder / "home"
        shutil.copytree(REPOSITORY / "cluster", self.project / "cluster")
        grid = self.project / "grids" / "small.yaml"
        for path in (grid, self.project / "qcrd" / "__main__.py", self.project / ".venv" / "large"):
            path.parent.mkdir()
        (self.project / ".venv" / "large").write_bytes(bytes(1 << 20))
        (self.project / "qcrd" / "__main__.py").write_text(PROGRAM)
        grid.write_text(
            "#!/usr/bin/env -S python -m qcrd run --worker\n"
            "name: small  # not ${QCRD_TEST_COMMENT}\n"
            "description: ${QCRD_TEST_DATA}\n"
        )
        grid.chmod(0o755)
        unwanted = ("RAY_", "MLFLOW_", "QCRD_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        self.environment |= {"QCRD_HOME": str(self.home), "QCRD_VENV": sys.prefix}

    def start(self, *arguments: str, **options) -> subprocess.Popen:
        """`local.sh` in the background, called from a folder that is not the project's."""
        return subprocess.Popen(
            [self.project / "cluster" / "local.sh", *arguments],
            **{"cwd": "/", "env": self.environment, "text": True} | options,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def call(self, *arguments: str, **options) -> subprocess.CompletedProcess:
        """`local.sh` until it ends."""
        process = self.start(*arguments, **options)
        output, errors = process.communicate(timeout=240)
        return subprocess.CompletedProcess(arguments, process.returncode, output, errors)

    def shell(self, line: str) -> subprocess.CompletedProcess:
        """A line in a shell in the project's folder, after `eval "$(cluster/local.sh env)"`."""
        line = f'exports=$(cluster/local.sh env) && eval "$exports" && {line}'
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.project,
            env=self.environment,
            text=True,
            capture_output=True,
            timeout=180,
        )

    def secrets(self) -> list[Path]:
        """Files of what lets somebody in."""
        return [self.home / "local" / name for name in ("ray_token", "mlflow_password")]

    def record(self, name: str) -> dict:
        """What is written down about a service."""
        return json.loads((self.home / "local" / f"{name}.json").read_text())

    def processes(self) -> list[psutil.Process]:
        """Whatever belongs to this home: by environment, or, for processes under a title, by session."""
        leaders = {self.record(name)["pid"] for name in ("ray", "mlflow")}
        found = []
        for pid in psutil.pids():
            try:
                process = psutil.Process(pid)
                environment = process.environ()
                ours = environment.get("QCRD_HOME") == str(self.home) and "QCRD_SERVICE" in environment
                if process.status() != psutil.STATUS_ZOMBIE and (ours or os.getsid(pid) in leaders):
                    found.append(process)
            except (psutil.Error, OSError):
                continue
        return found


@pytest.fixture
def idle(tmp_path: Path) -> Local:
    """A project from which nothing runs."""
    return Local(tmp_path)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory):
    """A project whose services run; started by two `up` at once."""
    local = Local(tmp_path_factory.mktemp("local"))
    local.home.mkdir()
    local.home.chmod(0o770)  # of a group
    try:
        both = [local.start("up"), local.start("up")]
        for process in both:
            _, errors = process.communicate(timeout=240)
            assert process.returncode == 0, errors
        yield local
    finally:
        local.call("down")


def test_wrong_calls_say_what_is_possible(idle: Local):
    unknown = idle.call("start")
    assert (
        unknown.returncode == 2 and "unknown command: start" in unknown.stderr and "status" in unknown.stderr
    )
    missing = idle.call("run", "grids/absent.yaml")
    assert missing.returncode == 2 and "grids/small.yaml" in missing.stderr
    assert idle.call("--help").returncode == 0


def test_nothing_runs_and_nothing_is_made_by_asking(idle: Local):
    environment = idle.call("env")
    assert environment.returncode == 1 and environment.stdout == "" and "local.sh up" in environment.stderr
    assert idle.call("status").returncode == 1
    assert idle.call("down").returncode == 0
    assert not idle.home.exists()


def test_a_recorded_pid_that_another_program_has_got_is_left_alone(idle: Local):
    stranger = subprocess.Popen(["sleep", "60"])
    try:
        state = idle.home / "local"
        state.mkdir(parents=True)
        for name, ports in (("ray", {"gcs": 1, "dashboard": 2, "client": 3}), ("mlflow", {"http": 4})):
            record = {"name": name, "pid": stranger.pid, "mark": f"{name}-1", "ports": ports}
            (state / f"{name}.json").write_text(json.dumps(record | {"project": "/", "scratch": ""}))
        status = idle.call("status")
        assert status.returncode == 1 and status.stdout.count("not running") == 2
        assert "nothing was running" in idle.call("down").stdout
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_two_up_at_once_start_one_pair_and_a_third_changes_nothing(local: Local):
    before = local.record("ray"), local.record("mlflow")
    marks = {process.environ().get("QCRD_SERVICE") for process in local.processes()} - {None}
    assert marks == {record["mark"] for record in before}
    began = time.monotonic()
    again = local.call("up")
    assert (again.returncode, again.stdout) == (0, "") and time.monotonic() - began < 5
    assert before == (local.record("ray"), local.record("mlflow"))
    status = local.call("status")
    assert status.returncode == 0 and re.search(r"offers \d+ CPUs, \d+ GPUs\n", status.stdout), status.stdout


def test_every_port_is_bound_to_loopback_only(local: Local):
    addresses = {
        (connection.laddr.ip, connection.laddr.port)
        for process in local.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    }
    ports = set(local.record("ray")["ports"].values()) | set(local.record("mlflow")["ports"].values())
    assert ports <= {port for _, port in addresses}
    assert {ip for ip, _ in addresses} <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


def test_secrets_are_the_users_alone(local: Local):
    assert local.home.stat().st_mode & 0o777 == 0o770  # left as it was: a group may share it
    assert (local.home / "local").stat().st_mode & 0o777 == 0o700
    assert Path(local.record("ray")["scratch"]).stat().st_mode & 0o777 == 0o700
    for path in (*local.secrets(), local.home / "local" / "mlflow_users.db"):
        assert path.stat().st_mode & 0o777 == 0o600, path


def test_mlflow_without_the_password_is_refused(local: Local):
    server = f"http://127.0.0.1:{local.record('mlflow')['ports']['http']}"
    pages = ("/", "/api/2.0/mlflow/experiments/search?max_results=1", "/ajax-api/2.0/mlflow/users/list")
    for page in pages:
        for pair in (None, "qcrd:wrong", "admin:password1234", "admin:password"):
            headers = {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()} if pair else {}
            with pytest.raises(urllib.error.HTTPError) as refusal:
                urllib.request.urlopen(urllib.request.Request(server + page, headers=headers), timeout=20)
            assert refusal.value.code == 401, (page, pair)


def test_the_shell_is_let_in_everywhere_and_the_doctor_says_so(local: Local):
    told = local.shell("cd / && python -m qcrd doctor --json")
    checks = {check["name"]: check for check in json.loads(told.stdout)}
    assert {checks[name]["state"] for name in ("Ray's token", "Ray", "Ray's jobs", "MLflow")} == {"ok"}, (
        checks
    )
    assert "refuses callers without" in checks["MLflow"]["found"]


def test_a_job_without_the_token_is_refused(local: Local):
    url = f"http://127.0.0.1:{local.record('ray')['ports']['dashboard']}/api/jobs/"
    body = json.dumps({"entrypoint": "true"}).encode()
    for headers in ({}, {"Authorization": "Bearer " + "0" * 64}):
        request = urllib.request.Request(url, body, headers | {"Content-Type": "application/json"})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=10)
        assert refusal.value.code in (401, 403)


def test_another_clone_with_the_same_home_is_told(local: Local, idle: Local):
    other = idle.call("up", env=idle.environment | {"QCRD_HOME": str(local.home)})
    assert other.returncode == 1 and str(local.project) in other.stderr


def test_the_literal_job_runs_in_the_project_folder(local: Local):
    job = local.shell(
        """ray job submit --runtime-env-json '{"env_vars": {"QCRD_TEST_DATA": "/d"}}' grids/small.yaml"""
    )
    assert job.returncode == 0, job.stdout + job.stderr
    assert "sent {'QCRD_TEST_DATA': '/d'}" in job.stdout
    assert (
        "arguments ['run', '--worker', 'grids/small.yaml']" in job.stdout
        and f"folder {local.project}\n" in job.stdout
    )
    assert f"worker's home {local.home}" in job.stdout


def test_a_job_with_a_working_directory_leaves_the_environment_behind(local: Local):
    job = local.shell("ray job submit --working-dir . -- python -m qcrd run grids/small.yaml")
    assert job.returncode == 0, job.stdout + job.stderr
    assert (
        "files ['cluster', 'grids', 'qcrd']" in job.stdout and f"folder {local.project}\n" not in job.stdout
    )


def test_run_prints_the_job_alone_and_ends_with_its_status(local: Local):
    sent = {"QCRD_TEST_DATA": "/some where", "QCRD_TEST_COMMENT": "no", "QCRD_TEST_OTHER": "no"}
    job = local.call("run", "small.yaml", "--fail", cwd=local.project / "grids", env=local.environment | sent)
    assert job.returncode == 7, job.stdout + job.stderr
    assert "sent {'QCRD_TEST_DATA': '/some where'}" in job.stdout  # what the grid names, for a running head
    assert "arguments ['run', 'grids/small.yaml', '--fail']" in job.stdout
    assert "INFO" not in job.stdout + job.stderr and "exit code 7" in job.stderr


def test_secrets_stand_in_their_own_files_and_in_no_log_or_command_line_after_jobs_have_run(local: Local):
    secrets = {path: path.read_bytes() for path in local.secrets()}
    assert all(len(secret) == 64 for secret in secrets.values())
    places = [local.home, Path(local.record("ray")["scratch"])]
    files = [path for place in places for path in place.rglob("*") if path.is_file()]
    assert len(files) > 20
    holders = {path for path in files if any(secret in path.read_bytes() for secret in secrets.values())}
    assert holders == set(secrets)
    lines = [" ".join(process.cmdline()) for process in local.processes()]
    assert len(lines) > 5
    assert not [line for line in lines if any(secret.decode() in line for secret in secrets.values())]


def test_down_ends_all_even_what_a_killed_head_left(local: Local):
    head = psutil.Process(local.record("ray")["pid"])
    head.send_signal(signal.SIGKILL)
    psutil.wait_procs([head], timeout=10)
    assert "ray       not running" in local.call("status").stdout
    assert local.call("down").returncode == 0
    assert local.processes() == []
    assert not Path(local.record("ray")["scratch"]).exists()
    assert (local.home / "local" / "ray_logs_of_last_start").is_dir()
