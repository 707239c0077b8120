"""Cells that fail on a real Ray: each in its own way, none at the cost of another."""

import os
import signal
from pathlib import Path

from ray.exceptions import ActorDiedError
from small_cells import make_cell

from qcrd.config import Resources
from qcrd.errors import OutOfMemory
from qcrd.grid.run.tune import _reason, train_cells
from qcrd.grid.run.watch import CellWatch
from qcrd.storage.home import Home
from qcrd.storage.tensors import DamagedTensors
from qcrd.types import CellRecord


def acting():
    # Within a function, so that it is sent to the workers, which cannot import this file.
    def act(cell, name, home: Home, report, keep_student):
        """What the cell's name says, with a line for every attempt."""
        diary: Path = home.root / f"{name}.attempts"
        with diary.open("a") as file:
            file.write("begun\n")
        attempts = len(diary.read_text().split())
        if name == "out of memory":
            raise OutOfMemory("out of memory; lower training.batch")
        if name == "damaged once" and attempts == 1:
            raise DamagedTensors("student.safetensors is damaged")
        if name == "killed always" or (name == "killed once" and attempts == 1):
            os.kill(os.getpid(), signal.SIGKILL)
        diverged = name == "diverged"
        accuracy = {} if diverged else {"test": 50.0, "validation": 50.0}
        return CellRecord(name, name, "diverged" if diverged else "done", {}, {}, accuracy, 1, 0.1)

    return act


# How often each is begun, and what is said of those that have no result.
FATES = {
    "good": (1, None),
    "diverged": (1, None),
    "killed once": (2, None),
    "damaged once": (2, None),
    "out of memory": (1, "OutOfMemory: out of memory; lower training.batch"),
    "killed always": (2, "its process was killed in every attempt"),
}


def test_of_cells_that_fail_each_is_named_with_its_reason_and_only_the_killed_and_damaged_are_tried_again(
    local_ray, tmp_path, capsys
):
    home = Home(tmp_path)
    cells = [(name, make_cell(home, "finetuning", seed=seed)) for seed, name in enumerate(FATES)]
    ids = {name: cell.id for name, cell in cells}
    resources = Resources(retries=1, concurrent_cells=2)
    failed = train_cells(cells, home, tmp_path / "tune", resources, 0, CellWatch(len(cells), 0), acting())
    begun = {name: len((tmp_path / f"{name}.attempts").read_text().split()) for name in FATES}
    assert begun == {name: attempts for name, (attempts, _) in FATES.items()}
    assert failed.keys() == {ids[name] for name, (_, reason) in FATES.items() if reason}
    for name, (_, reason) in FATES.items():
        assert reason is None or reason in failed[ids[name]]
    said = capsys.readouterr().out
    assert "out of memory: failed; not restarted" in said
    assert "good: test 50.0%" in said and "diverged: diverged" in said
    assert not (tmp_path / "tune").exists(), "Tune keeps nothing"


def test_what_rays_memory_monitor_ended_is_told_from_what_merely_died():
    told = (
        "Failure # 1\n1 worker(s) were killed due to the node running low on memory. Memory on the node ..."
    )
    assert "because memory was full" in _reason(told)  # Tune hands on Ray's words alone
    assert "often because memory is full" in _reason(ActorDiedError())
