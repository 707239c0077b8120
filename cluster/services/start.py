"""Starts a service and waits until it responds."""

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from environment import common
from service import HOME, HOST, MARK, SECRETS, STATE, Service, load
from stop import stop, wait_until

PROJECT = Path(__file__).resolve().parents[2]
START_LIMIT = 180  # seconds for both to respond; takes about 15 s on two idle cores
PREFERRED_PORTS = {"ray": {"gcs": 6379, "dashboard": 8265, "client": 0}, "mlflow": {"http": 5000}}
"""If a port is in use, a free one is chosen and used again at the next start; 0 is any free port. Ray's
client server is not used here, but the head exits if it cannot bind its port, so it gets any free one."""


def start(name: str, mlflow_url: str = "") -> Service:
    """Start a service and write its record, without waiting. Ray passes `mlflow_url` to its jobs."""
    last = load(name)
    if last:
        stop(last)  # the main process has ended, but child processes may still run
    wanted = PREFERRED_PORTS[name] | (last.ports if last else {})
    service = Service(
        name=name,
        pid=0,
        mark=f"{name}-{secrets.token_hex(8)}",
        ports={use: _free_port(port) for use, port in wanted.items()},
        project=str(PROJECT),
        scratch=tempfile.mkdtemp(prefix="qcrd-", dir="/tmp") if name == "ray" else "",
    )
    # Variables of another cluster in the caller's shell would make Ray connect to it.
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("RAY_", "MLFLOW_"))}
    environment |= common() | {
        MARK: service.mark,
        "QCRD_HOME": str(HOME),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
        "RAY_DASHBOARD_STARTUP_TIMEOUT_S": str(START_LIMIT),
        "RAY_JOB_STOP_WAIT_TIME_S": "30",  # time to mark cells and runs as stopped before SIGKILL
        "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S": "0",  # there is no other node to take over work
        "MLFLOW_DISABLE_TELEMETRY": "true",
        # MLflow's background jobs are not needed, start seven processes and outlive the server.
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
    }
    if name == "mlflow":
        environment |= SECRETS.of_server()
    else:
        environment |= SECRETS.of_ray() | SECRETS.of_mlflow() | {"MLFLOW_TRACKING_URI": mlflow_url}
    with service.log.open("a") as log:
        process = subprocess.Popen(
            _command(service),
            cwd=PROJECT,  # the working directory of the jobs
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            umask=0o077 if name == "mlflow" else -1,  # a group may share the files of Ray's jobs
        )
    service = Service(**asdict(service) | {"pid": process.pid})
    service.save()
    return service


def wait_for(service: Service) -> None:
    """Wait until a service responds.

    Raises:
        TimeoutError: if it ends or does not respond in time; the message has the end of its log.
    """
    if wait_until(lambda: service.answers() or not service.alive(), START_LIMIT) and service.alive():
        return
    what = f"did not respond within {START_LIMIT} s" if service.alive() else "ended while starting"
    stop(service)
    tail = "\n".join("    " + line for line in service.log.read_text(errors="replace").splitlines()[-20:])
    raise TimeoutError(f"{service.name} {what}. The end of {service.log}:\n{tail}")


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


def _free_port(preferred: int) -> int:
    for port in (preferred, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            # SO_REUSEADDR ignores lingering connections after `down`; listeners on any interface still block.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return probe.getsockname()[1]
    raise SystemExit("no free port on this machine")
