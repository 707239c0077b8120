"""`cluster/slurm.sh` for real on one node, with stand-ins for Slurm's own programs."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from apart import apart, only_where_possible

REPOSITORY = Path(__file__).parents[2]
SRUN = '#!/bin/bash\nwhile [[ $1 == --* ]]; do shift; done\nexec "$@"\n'
SCONTROL = '#!/bin/bash\necho "$@" >>"$SCONTROL_LOG"\n'
GRID = """
name: {name}
preset: embedded
base:
  method: finetuning
  task: {{train: 24, validation: 8, test: 12}}
  student: {{architecture: {{d_model: 16, d_kv: 4, d_ff: 16, layers: 1, heads: 2}}, max_rationale: 24}}
  training: {{steps: {steps}, batch: 8, evaluate_every: 80}}
  rationales: {{labels: gold}}
"""


class Slurm:
    """One node's allocation for two grids."""

    def __init__(self, folder: Path):
        self.home, self.log = folder / "home", folder / "scontrol.log"
        programs = folder / "bin"
        programs.mkdir()
        for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
            (programs / name).write_text(text)
            (programs / name).chmod(0o755)
        self.script = shutil.copy(REPOSITORY / "cluster" / "slurm.sh", folder / "slurm_script")
        self.grids = [folder / "first.yaml", folder / "second.yaml"]
        for path in self.grids:
            path.write_text(GRID.format(name=path.stem, steps=1500))
        unwanted = ("RAY_", "MLFLOW_", "QCRD_", "SLURM_")
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(unwanted)}
        self.environment |= {
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "QCRD_HOME": str(self.home),
            "QCRD_VENV": sys.prefix,
            "SCONTROL_LOG": str(self.log),
            "SLURM_ARRAY_TASK_ID": "1",
            "SLURM_JOB_ID": str(os.getpid()),
            "SLURM_JOB_NUM_NODES": "1",
            "SLURM_SUBMIT_DIR": str(REPOSITORY),
        }

    def start(self, *wrap: str) -> subprocess.Popen:
        """The batch script, as Slurm starts it: a copy of it, from anywhere."""
        return subprocess.Popen(
            [*wrap, "bash", self.script, *map(str, self.grids)],
            cwd="/",
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )


@pytest.fixture
def slurm(tmp_path: Path) -> Slurm:
    return Slurm(tmp_path)


@pytest.mark.slow
@only_where_possible
def test_a_grid_stopped_before_the_time_limit_is_queued_again_and_goes_on(slurm: Slurm):
    begun = slurm.start(*apart())
    try:
        deadline = time.monotonic() + 200
        while not list(slurm.home.glob("cells/*/checkpoint*")):
            assert time.monotonic() < deadline and begun.poll() is None, begun.communicate()[0]
            time.sleep(0.2)
        (batch,) = (p for p in psutil.Process(begun.pid).children(recursive=True) if _is(p, slurm.script))
        batch.send_signal(signal.SIGUSR1)
        output, _ = begun.communicate(timeout=100)
    finally:
        begun.kill()
    assert begun.returncode not in (0, None) and "queued again" in output, output
    assert slurm.log.read_text() == f"requeue {os.getpid()}\n"
    assert "stopped" in _journal(slurm)

    again = slurm.start(*apart())
    output, _ = again.communicate(timeout=250)
    assert again.returncode == 0, output
    assert list(slurm.home.glob("grids/second/*/table.md")) and list(slurm.home.glob("cells/*/record.json"))
    assert not (slurm.home / "grids" / "first").exists()  # another task of the array has it
    assert (slurm.home / "local" / "ray_token").stat().st_mode & 0o777 == 0o600
    assert not list(Path("/tmp").glob(f"qcrd-*-{os.getpid()}"))  # noqa: S108 - nothing is left there


def test_a_job_without_a_grid_says_which_it_has(slurm: Slurm):
    slurm.environment["SLURM_ARRAY_TASK_ID"] = "2"
    process = slurm.start()
    output, _ = process.communicate(timeout=20)
    assert process.returncode == 2 and "no grid number 2 among" in output and "second.yaml" in output


def _journal(slurm: Slurm) -> str:
    (path,) = slurm.home.glob("cells/*/journal*")
    return path.read_text()


def _is(process: psutil.Process, script: str) -> bool:
    return process.cmdline()[:2] == ["bash", str(script)]
