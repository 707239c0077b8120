"""Submits one grid to the local Ray head as a job and follows it, for `cluster/local.sh run`.

Usage: python cluster/submit.py GRID [arguments of `qcrd run`]. Prints what the job prints and ends with its
exit status. Ctrl-C stops the job; what it had finished is kept, and the same command goes on from there.
Wants the variables of `cluster/local.sh env`. It is `ray job submit` without the words that no reader needs,
and sends along the environment variables that the grid names: a job has the cluster's, not the caller's.
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
"""Ray's own last line before the program's first."""


def named(grid: Path) -> dict[str, str]:
    """Variables in the grid's values (not its comments) that are set here; what is wrong the job will say.

    Ray shows them on its page, so none that is a secret by its name.
    """
    names: set[str] = set()
    with contextlib.suppress(OSError, UnicodeDecodeError, yaml.YAMLError):
        for token in yaml.scan(grid.read_text(encoding="utf-8")):
            if isinstance(token, yaml.ScalarToken):
                names |= variables(token.value)
    return {name: os.environ[name] for name in sorted(names) if name in os.environ and not secret(name)}


async def follow(client: JobSubmissionClient, job: str) -> None:
    """Print the job's output as it comes, without Ray's words before it."""
    begun = False
    async for text in client.tail_job_logs(job):
        if not begun:
            _, begun, text = text.partition(PREAMBLE)
            text = text.partition("\n")[2]
        print(text, end="", flush=True)


def finish(client: JobSubmissionClient, job: str) -> int:
    """The job's exit status once it has one; 130 where it was stopped."""
    while not client.get_job_status(job).is_terminal():
        time.sleep(0.2)
    details = client.get_job_info(job)
    if details.status == JobStatus.SUCCEEDED:
        return 0
    if details.status == JobStatus.STOPPED:
        print("stopped; the same command goes on from what is finished", file=sys.stderr)
        return 130
    # Ray repeats the job's output after this phrase; it has been printed.
    reason = (details.message or "no reason given").partition(", last available logs")[0]
    print(f"the job failed: {reason}", file=sys.stderr)
    return details.driver_exit_code or 1


def main() -> int:
    """Submit, follow, report."""
    logging.disable(logging.INFO)  # Ray's notes on its connections
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
    print(f"MLflow {mlflow}   Ray {ray}   everything else in {os.environ['QCRD_HOME']}")
    return code


if __name__ == "__main__":
    sys.exit(main())
