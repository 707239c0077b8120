"""Keeps one Ray head and one MLflow server running on this machine: up, down, status, env.

`mlflow` starts the server alone, for the head of a cluster of several machines (`node.sh`).

Both listen on loopback only, and want a token (Ray, since its jobs are programs) or a password (MLflow). What
runs is written down in $QCRD_HOME/local, which is the user's alone (mode 700): one record per service, the
secrets, the logs. Only processes that a record proves to be ours are ever ended, and a Ray cluster of
somebody else is neither joined nor touched: ports that are taken are stepped around.
`cluster/local.sh` is the front door.
"""

import contextlib
import fcntl
import json
import os
import secrets
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil
from credentials import USER, Credentials

PROJECT = Path(__file__).resolve().parents[1]
HOME = Path(os.environ.get("QCRD_HOME") or Path.home() / ".qcrd").expanduser().absolute()
STATE = HOME / "local"
SECRETS = Credentials(STATE)
HOST = "127.0.0.1"
MARK = "QCRD_SERVICE"
"""Environment variable that every process below a service inherits; its value is new at each start, so it
tells our processes from a stranger that was given a recorded pid later."""

START_LIMIT = 180  # seconds until both must answer; about 15 on two quiet cores
START_ATTEMPTS = 3  # a free port may be gone when it is bound; Ray's own 30 s are few on a busy machine
STOP_LIMIT = 10  # seconds from the polite signal to the hard one; what is killed goes on where it was
PREFERRED_PORTS = {"ray": {"gcs": 6379, "dashboard": 8265, "client": 0}, "mlflow": {"http": 5000}}
"""Another is taken where one is in use, and kept for the next start; 0 is any. Ray's client server, which
nobody calls, binds last, and the head ends where it cannot: so no well-known port."""


@dataclass(frozen=True)
class Service:
    """The record of one running service."""

    name: str
    pid: int
    mark: str
    ports: dict[str, int]
    project: str
    scratch: str
    """Holds Ray's own folder, into which Ray lets everybody; under /tmp, because the paths of Unix sockets
    may not exceed 107 bytes."""

    @property
    def log(self) -> Path:
        """What the service prints."""
        return STATE / f"{self.name}.log"

    @property
    def session(self) -> Path:
        """Ray's own folder."""
        return Path(self.scratch) / "ray"

    @property
    def url(self) -> str:
        """The page a person opens: Ray's dashboard, MLflow's runs."""
        return f"http://{HOST}:{self.ports['dashboard' if self.name == 'ray' else 'http']}"

    def save(self) -> None:
        """Write the record in one step, so that a reader never sees half of it."""
        draft = STATE / f".{self.name}.json"
        draft.write_text(json.dumps(asdict(self), indent=2))
        draft.chmod(0o600)
        draft.rename(STATE / f"{self.name}.json")

    def alive(self) -> bool:
        """Whether the recorded process still runs, and is not another program that was given its pid."""
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(self.pid)
            return process.status() != psutil.STATUS_ZOMBIE and process.environ().get(MARK) == self.mark
        return False

    def answers(self) -> bool:
        """Whether the service is complete and takes requests with our token or password."""
        page = "/api/jobs/" if self.name == "ray" else "/api/2.0/mlflow/experiments/search?max_results=1"
        with contextlib.suppress(OSError, ValueError):
            for port in self.ports.values():
                socket.create_connection((HOST, port), timeout=10).close()
            self.fetch(page)
            # Ray writes this file last, when its node has joined; jobs look their head up in it.
            return self.name != "ray" or (self.session / "ray_current_cluster").exists()
        return False

    def fetch(self, page: str) -> bytes:
        """GET a page of the service; raises OSError."""
        headers = SECRETS.header(self.name)
        request = urllib.request.Request(self.url + page, headers=headers)  # noqa: S310 - http on loopback
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(request, timeout=10) as reply:
            return reply.read()


def load(name: str) -> Service | None:
    """The record of a service, or None where there is none that can be read."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        return Service(**json.loads((STATE / f"{name}.json").read_text()))
    return None


def _own(service: Service) -> Iterator[psutil.Process]:
    """Every living process of a service: those with its mark, and those of its session that have overwritten
    their environment with a title, as Ray's workers do."""
    for pid in psutil.pids():
        with contextlib.suppress(psutil.Error, OSError):
            process = psutil.Process(pid)
            if process.status() == psutil.STATUS_ZOMBIE:
                continue
            environment = process.environ()
            titled = not environment and os.getsid(pid) == service.pid
            if titled or environment.get(MARK) == service.mark:
                yield process


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # Not hindered by connections that linger after `down`, only by listeners, on any interface.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return probe.getsockname()[1]
    raise SystemExit("no free port on this machine")


def _client_environment(ray: Service, mlflow: Service) -> dict[str, str]:
    return {
        "QCRD_HOME": str(HOME),
        # `ray job` wants the page's address, `ray.init` the head's; each reads its own variable.
        "RAY_API_SERVER_ADDRESS": ray.url,
        "RAY_ADDRESS": f"{HOST}:{ray.ports['gcs']}",
        **_common_environment(),
        **SECRETS.of_ray(),
        **_mlflow_environment(mlflow),
    }


def _mlflow_environment(mlflow: Service) -> dict[str, str]:
    return {"MLFLOW_TRACKING_URI": mlflow.url, **SECRETS.of_mlflow()}


def _common_environment() -> dict[str, str]:
    """For services and clients alike. Ray reads its variables on import; a proxy must not see loopback."""
    direct = ",".join(filter(None, [os.environ.get("no_proxy") or os.environ.get("NO_PROXY"), HOST]))
    return {
        "no_proxy": direct,
        "NO_PROXY": direct,
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # makes every Ray process bind loopback alone
    }


def _command(service: Service) -> list[str]:
    program = str(Path(sys.executable).with_name(service.name))
    ports = service.ports
    if service.name == "mlflow":
        return [
            *(program, "server", "--host", HOST, "--port", str(ports["http"]), "--workers", "1"),
            *("--backend-store-uri", f"sqlite:///{STATE / 'mlflow.db'}"),
            *("--artifacts-destination", str(STATE / "mlartifacts"), "--app-name", "basic-auth"),
        ]
    return [
        *(program, "start", "--head", "--block", "--disable-usage-stats", "--log-color=false"),
        *(
            f"--node-ip-address={HOST}",
            f"--port={ports['gcs']}",
            f"--ray-client-server-port={ports['client']}",
        ),
        *("--include-dashboard=true", f"--dashboard-host={HOST}", f"--dashboard-port={ports['dashboard']}"),
        *("--dashboard-agent-listen-port=0", f"--temp-dir={service.session}"),
        "--object-store-memory=500000000",  # results are small; the default would take 30% of the memory
    ]


def _start(name: str, mlflow_url: str = "") -> Service:
    """Start a service and record it; it may not answer yet. Ray's jobs need to know MLflow's address."""
    last = load(name)
    if last:
        _stop(last)  # its first process is gone, some of its children may not be
    wanted = PREFERRED_PORTS[name] | (last.ports if last else {})
    service = Service(
        name=name,
        pid=0,
        mark=f"{name}-{secrets.token_hex(8)}",
        ports={use: _free_port(port) for use, port in wanted.items()},
        project=str(PROJECT),
        scratch=tempfile.mkdtemp(prefix="qcrd-", dir="/tmp") if name == "ray" else "",
    )
    # Variables of another cluster that the caller's shell may hold would send Ray there.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
    environment |= _common_environment() | {
        MARK: service.mark,
        "QCRD_HOME": str(HOME),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(START_LIMIT),
        "RAY_JOB_STOP_WAIT_TIME_S": "30",  # to mark cells and runs as stopped before the hard signal
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # no other node could take over what runs here
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow's background jobs are of no use here, cost seven processes and outlive the server.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if name == "mlflow":
        environment |= SECRETS.of_server()
    else:
        environment |= SECRETS.of_ray() | SECRETS.of_mlflow() | {"MLFLOW_TRACKING_URI": mlflow_url}
    with service.log.open("a") as log:
        process = subprocess.Popen(
            _command(service),
            cwd=PROJECT,  # the folder in which jobs will find themselves
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077 if name == "mlflow" else -1,  # what Ray's jobs write a group may share
        )
    service = Service(**asdict(service) | {"pid": process.pid})
    service.save()
    return service


def _stop(*services: Service) -> None:
    """End every process of the services, and keep Ray's logs; the records stay for their ports."""
    for service in services:
        if service.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGTERM)
    _until(lambda: not any(service.alive() for service in services), STOP_LIMIT)
    for service in services:
        for strength in (signal.SIGTERM, signal.SIGKILL):
            for process in _own(service):
                with contextlib.suppress(psutil.Error):
                    process.send_signal(strength)
            if _until(lambda: not any(_own(service)), STOP_LIMIT / 3):  # noqa: B023 - called at once
                break
        _tidy(service)


def _tidy(service: Service) -> None:
    """Remove Ray's folder under /tmp; its logs move beside ours, since they tell why a job failed."""
    if not service.scratch or not Path(service.scratch).is_dir():
        return
    kept = STATE / "ray_logs_of_last_start"
    shutil.rmtree(kept, ignore_errors=True)
    with contextlib.suppress(OSError, shutil.Error):
        shutil.copytree(service.session / "session_latest" / "logs", kept, symlinks=True)
    shutil.rmtree(service.scratch, ignore_errors=True)


def _until(condition, limit: float) -> bool:
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _await(service: Service) -> None:
    """Wait until a service answers; raises TimeoutError where it does not, with the end of its log."""
    if _until(lambda: service.answers() or not service.alive(), START_LIMIT) and service.alive():
        return
    what = f"did not answer within {START_LIMIT} s" if service.alive() else "ended while starting"
    _stop(service)
    tail = "\n".join("    " + line for line in service.log.read_text(errors="replace").splitlines()[-20:])
    raise TimeoutError(f"{service.name} {what}. The end of {service.log}:\n{tail}")


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """One caller at a time changes what runs."""
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)  # not HOME, which a group may share
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Start what does not run and wait until both answer; nothing to do is nothing done."""
    began = time.monotonic()
    with _alone():
        ray, mlflow = load("ray"), load("mlflow")
        complete = bool(ray and ray.alive() and mlflow and mlflow.alive())
        if ray and ray.alive() and ray.project != str(PROJECT):
            raise SystemExit(
                f"the Ray head of QCRD_HOME={HOME} runs jobs in {ray.project}, not in {PROJECT}. "
                f"End it (`cluster/local.sh down`) or set QCRD_HOME to another folder."
            )
        SECRETS.make()
        for attempt in range(1, START_ATTEMPTS + 1):
            try:
                _start_missing()
                break
            except TimeoutError as error:
                if attempt == START_ATTEMPTS:
                    raise SystemExit(str(error)) from None
                print(f"{str(error).partition('.')[0]}; trying again", flush=True)
        if not complete:
            ray, mlflow, seconds = load("ray"), load("mlflow"), time.monotonic() - began
            print(f"up after {seconds:.0f} s: MLflow {mlflow.url}, Ray {ray.url}", flush=True)
            print(f"a browser asks MLflow's user ({USER}) and password, and Ray's token: {STATE}", flush=True)


def _start_missing() -> None:
    ray, mlflow = load("ray"), load("mlflow")
    new_mlflow, new_ray = not (mlflow and mlflow.alive()), not (ray and ray.alive())
    if new_mlflow or new_ray:
        names = " and ".join(name for name, new in (("MLflow", new_mlflow), ("Ray", new_ray)) if new)
        print(f"starting {names} (logs: {STATE})", flush=True)
    if new_mlflow:
        before, mlflow = mlflow, _start("mlflow")
        if not new_ray and not (before and before.url == mlflow.url):
            print("MLflow has a new port; jobs of the running Ray head still use the old one", flush=True)
    if new_ray:
        ray = _start("ray", mlflow.url)
    try:
        _await(mlflow)
    except TimeoutError:
        if new_ray:
            _stop(ray)  # it was told of a server that is not there
        raise
    _await(ray)


def down() -> None:
    """End both services and everything below them."""
    if not STATE.is_dir():
        print(f"nothing has ever run from QCRD_HOME={HOME}")
        return
    with _alone():
        services = [service for service in (load("ray"), load("mlflow")) if service]
        ran = [service.name for service in services if any(_own(service))]
        _stop(*services)
    print(f"ended: {', '.join(ran)}" if ran else "nothing was running")


def status() -> int:
    """Print what runs; 0 where both services answer, 1 otherwise."""
    print(f"QCRD_HOME {HOME}")
    sound = True
    for name in ("ray", "mlflow"):
        service = load(name)
        alive = service is not None and service.alive()
        answers = alive and service.answers()
        sound = sound and answers
        if not alive:
            print(f"{name:9} not running")
            continue
        print(f"{name:9} {service.url}  pid {service.pid}")
        if not answers:
            print(f"          does not answer; its log: {service.log}")
        if name == "mlflow":
            print(f"          user {USER}, password in {SECRETS.password_file}")
        if name == "ray" and answers:
            print(f"          head {HOST}:{service.ports['gcs']}, jobs run in {service.project}")
            print(f"          offers {_offer(service)}")
            jobs = [job for job in json.loads(service.fetch("/api/jobs/")) if job["submission_id"]]
            for job in sorted(jobs, key=lambda job: job["start_time"] or 0)[-10:]:
                print(f"job       {job['submission_id']}  {job['status']:9}  {job['entrypoint']}")
    return 0 if sound else 1


def _offer(ray: Service) -> str:
    """What cells can have: Ray finds the GPUs itself, those of CUDA_VISIBLE_DEVICES where that is set."""
    (node,) = json.loads(ray.fetch("/api/v0/nodes?detail=1"))["data"]["result"]["result"]
    return ", ".join(f"{node['resources_total'].get(what, 0):g} {what}s" for what in ("CPU", "GPU"))


def env() -> None:
    """Print export lines for a shell; nothing where the services do not run."""
    ray, mlflow = load("ray"), load("mlflow")
    if not (ray and mlflow and ray.alive() and mlflow.alive() and SECRETS.password_file.exists()):
        raise SystemExit(
            f"Ray and MLflow of QCRD_HOME={HOME} are not running; start them: cluster/local.sh up"
        )
    _export(_client_environment(ray, mlflow))
    print(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')


def mlflow() -> None:
    """Start MLflow alone where it does not run, and print export lines for those who use it."""
    with _alone():
        SECRETS.make()
        service = load("mlflow")
        if not (service and service.alive()):
            service = _start("mlflow")
            try:
                _await(service)
            except TimeoutError as error:
                raise SystemExit(str(error)) from None
    _export(_mlflow_environment(service))


def _export(environment: dict[str, str]) -> None:
    for key, value in environment.items():
        print(f"export {key}={shlex.quote(value)}")


if __name__ == "__main__":
    try:
        sys.exit({"up": up, "down": down, "status": status, "env": env, "mlflow": mlflow}[sys.argv[1]]())
    except KeyboardInterrupt:
        sys.exit(130)  # what was started is on record; the next call goes on from there
