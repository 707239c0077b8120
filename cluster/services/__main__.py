"""Starts and stops one Ray head and one MLflow server on this machine: up, down, status, env.

`mlflow` starts only the MLflow server, for the head of a cluster of several machines (`node.sh`). Users call
`cluster/local.sh`.

Both services listen on loopback only. Ray requires a token, because its jobs can run any program; MLflow
requires a password. $QCRD_HOME/local (mode 700) contains the record of each service, the secrets and the
logs. Only processes that match a record are stopped. Other Ray clusters on the machine are neither joined nor
changed, and ports in use are avoided.
"""

import contextlib
import fcntl
import json
import shlex
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from credentials import USER
from environment import of_client, of_mlflow_client
from service import HOME, HOST, SECRETS, STATE, Service, load, processes
from start import PROJECT, start, wait_for
from stop import stop

START_ATTEMPTS = 3  # another process may take the port; Ray's own limit of 30 s is short if busy


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """Lock: one process at a time starts or stops services."""
    STATE.mkdir(parents=True, exist_ok=True)
    STATE.chmod(0o700)  # HOME itself may be shared with a group
    with (STATE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def up() -> None:
    """Start the services that are not running, and wait until both respond."""
    began = time.monotonic()
    with _alone():
        ray, mlflow = load("ray"), load("mlflow")
        complete = bool(ray and ray.alive() and mlflow and mlflow.alive())
        if ray and ray.alive() and ray.project != str(PROJECT):
            raise SystemExit(
                f"the Ray head of QCRD_HOME={HOME} runs jobs in {ray.project}, not in {PROJECT}. "
                f"Stop it (`cluster/local.sh down`) or set QCRD_HOME to another folder."
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
            print(f"started in {seconds:.0f} s: MLflow {mlflow.url}, Ray {ray.url}", flush=True)
            print(
                f"for the browser: MLflow's user is {USER}; its password and Ray's token are in {STATE}",
                flush=True,
            )


def _start_missing() -> None:
    ray, mlflow = load("ray"), load("mlflow")
    new_mlflow, new_ray = not (mlflow and mlflow.alive()), not (ray and ray.alive())
    if new_mlflow or new_ray:
        names = " and ".join(name for name, new in (("MLflow", new_mlflow), ("Ray", new_ray)) if new)
        print(f"starting {names} (logs: {STATE})", flush=True)
    if new_mlflow:
        before, mlflow = mlflow, start("mlflow")
        if not new_ray and not (before and before.url == mlflow.url):
            print("MLflow has a new port; jobs of the running Ray head still use the old one", flush=True)
    if new_ray:
        ray = start("ray", mlflow.url)
    try:
        wait_for(mlflow)
    except TimeoutError:
        if new_ray:
            stop(ray)  # its jobs would get the address of a server that does not run
        raise
    wait_for(ray)


def down() -> None:
    """Stop both services and their child processes."""
    if not STATE.is_dir():
        print(f"no service was ever started with QCRD_HOME={HOME}")
        return
    with _alone():
        services = [service for service in (load("ray"), load("mlflow")) if service]
        ran = [service.name for service in services if any(processes(service))]
        stop(*services)
    print(f"stopped: {', '.join(ran)}" if ran else "nothing was running")


def status() -> int:
    """Print the state of the services; return 0 if both respond, else 1."""
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
            print(f"          does not respond; log: {service.log}")
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
    """CPUs and GPUs for cells. Ray detects the GPUs, or uses those in CUDA_VISIBLE_DEVICES."""
    (node,) = json.loads(ray.fetch("/api/v0/nodes?detail=1"))["data"]["result"]["result"]
    return ", ".join(f"{node['resources_total'].get(what, 0):g} {what}s" for what in ("CPU", "GPU"))


def env() -> None:
    """Print export lines for a shell; fails if the services are not running."""
    ray, mlflow = load("ray"), load("mlflow")
    if not (ray and mlflow and ray.alive() and mlflow.alive() and SECRETS.password_file.exists()):
        raise SystemExit(
            f"Ray and MLflow of QCRD_HOME={HOME} are not running; start them: cluster/local.sh up"
        )
    _export(of_client(ray, mlflow))
    print(f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"')


def mlflow() -> None:
    """Start MLflow if it is not running, and print export lines for its clients."""
    with _alone():
        SECRETS.make()
        service = load("mlflow")
        if not (service and service.alive()):
            service = start("mlflow")
            try:
                wait_for(service)
            except TimeoutError as error:
                raise SystemExit(str(error)) from None
    _export(of_mlflow_client(service))


def _export(environment: dict[str, str]) -> None:
    for key, value in environment.items():
        print(f"export {key}={shlex.quote(value)}")


if __name__ == "__main__":
    try:
        sys.exit({"up": up, "down": down, "status": status, "env": env, "mlflow": mlflow}[sys.argv[1]]())
    except KeyboardInterrupt:
        sys.exit(130)  # started services are recorded; the next call continues from there
