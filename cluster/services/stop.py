"""Stops a service and all its child processes."""

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import psutil
from service import STATE, Service, processes

STOP_LIMIT = 10  # seconds from SIGTERM to SIGKILL; a killed cell resumes from its checkpoint


def stop(*services: Service) -> None:
    """Stop all processes of the services and keep Ray's logs. The records are kept, with the ports."""
    for service in services:
        if service.alive():
            with contextlib.suppress(ProcessLookupError):
                os.kill(service.pid, signal.SIGTERM)
    wait_until(lambda: not any(service.alive() for service in services), STOP_LIMIT)
    for service in services:
        for strength in (signal.SIGTERM, signal.SIGKILL):
            for process in processes(service):
                with contextlib.suppress(psutil.Error):
                    process.send_signal(strength)
            if wait_until(lambda: not any(processes(service)), STOP_LIMIT / 3):  # noqa: B023 - called at once
                break
        _tidy(service)


def _tidy(service: Service) -> None:
    """Remove Ray's folder in /tmp and copy its logs to STATE; they show why a job failed."""
    if not service.scratch or not Path(service.scratch).is_dir():
        return
    kept = STATE / "ray_logs_of_last_start"
    shutil.rmtree(kept, ignore_errors=True)
    with contextlib.suppress(OSError, shutil.Error):
        shutil.copytree(service.session / "session_latest" / "logs", kept, symlinks=True)
    shutil.rmtree(service.scratch, ignore_errors=True)


def wait_until(condition: Callable[[], bool], limit: float) -> bool:
    """Poll until `condition` is true; return False if it is not within `limit` seconds."""
    deadline = time.monotonic() + limit
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
