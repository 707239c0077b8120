"""Starts a service and waits until it answers."""

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
START_LIMIT = 180  # seconds until both must answer; about 15 on two quiet cores
PREFERRED_PORTS = {"ray": {"gcs": 6379, "dashboard": 8265, "client": 0}, "mlflow": {"http": 5000}}
"""Where one is in use another is taken and kept for the next start; 0 is any free port. Nobody calls Ray's
client server, but the head exits where it cannot bind, so it gets no well-known port."""


def start(name: str, mlflow_url: str = "") -> Service:
    """Start a service and record it; it may not answer yet. Ray's jobs need to know MLflow's address."""
    last = load(name)
    if last:
        stop(last)  # its first process is gone, some of its children may not be
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
    environment |= common() | {
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


def wait_for(service: Service) -> None:
    """Wait until a service answers; raises TimeoutError where it does not, with the end of its log."""
    if wait_until(lambda: service.answers() or not service.alive(), START_LIMIT) and service.alive():
        return
    what = f"did not answer within {START_LIMIT} s" if service.alive() else "ended while starting"
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
            # Not hindered by connections that linger after `down`, only by listeners, on any interface.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("", port))
            return probe.getsockname()[1]
    raise SystemExit("no free port on this machine")
