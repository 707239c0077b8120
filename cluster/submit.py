"""Submits one grid as a job to the local Ray head and prints its output, for `cluster/local.sh run`.

Usage: python cluster/submit.py GRID [arguments of `qcrd run`]. Exits with the job's exit status. Ctrl-C stops
the job; finished cells are kept, and the same command resumes. Requires the variables of `cluster/local.sh
env`. Unlike `ray job submit`, it leaves out Ray's own messages, and passes on the environment variables that
the grid names, because a job has the cluster's environment and not the caller's.
"""

import asyncio
import contextlib
import logging
import os
import shlex
import sys
import time
from pathlib import Path

import yaml
from ray.job_submission import JobStatus, JobSubmissionClient

from qcrd.config.paths import secret, variables

PROJECT = Path(__file__).resolve().parents[1]
PREAMBLE = "Running entrypoint for job"
"""Ray's last message before the output of the job."""


def named(grid: Path) -> dict[str, str]:
    """Environment variables that the grid's values (not its comments) name and that are set here.

    Variables whose name indicates a secret are left out, because Ray's dashboard shows them. A grid that
    cannot be read gives no variables; the job reports the error.
    """
    names: set[str] = set()
    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        for token in yaml.scan(grid.read_text(encoding="utf-8")):
            if isinstance(token, yaml.ScalarToken):
                names |= variables(token.value)
    return {name: os.environ[name] for name in sorted(names) if name in os.environ and not secret(name)}


async def follow(client: JobSubmissionClient, job: str) -> None:
    """Print the job's output as it arrives, without Ray's messages before it."""
    begun = False
    async for text in client.tail_job_logs(job):
        if not begun:
            _, begun, text = text.partition(PREAMBLE)
            text = text.partition("\n")[2]
        print(text, end="", flush=True)


def finish(client: JobSubmissionClient, job: str) -> int:
    """Wait for the end of the job and return its exit status; 130 if it was stopped."""
    while not client.get_job_status(job).is_terminal():
        time.sleep(0.2)
    details = client.get_job_info(job)
    if details.status == JobStatus.SUCCEEDED:
        return 0
    if details.status == JobStatus.STOPPED:
        print("stopped; finished cells are kept, and the same command resumes", file=sys.stderr)
        return 130
    # After this phrase Ray repeats the job's output, which has been printed already.
    reason = (details.message or "no reason given").partition(", last available logs")[0]
    print(f"the job failed: {reason}", file=sys.stderr)
    return details.driver_exit_code or 1


def main() -> int:
    """Submit the grid, print the job's output, and return its exit status."""
    logging.disable(logging.INFO)  # Ray's messages about its connections
    ray, mlflow = os.environ["RAY_API_SERVER_ADDRESS"], os.environ["MLFLOW_TRACKING_URI"]
    client = JobSubmissionClient(ray)
    job = client.submit_job(
        entrypoint=shlex.join(["python", "-m", "qcrd", "run", *sys.argv[1:]]),
        runtime_env={"env_vars": named(PROJECT / sys.argv[1])},
    )
    print(f"job {job}; watch it at {mlflow} (MLflow) and {ray} (Ray)", flush=True)
    try:
        asyncio.run(follow(client, job))
        code = finish(client, job)
    except KeyboardInterrupt:
        client.stop_job(job)
        code = finish(client, job)
    print(f"MLflow {mlflow}   Ray {ray}   results in {os.environ['QCRD_HOME']}")
    return code


if __name__ == "__main__":
    sys.exit(main())
