"""Harm does what it says, and to nobody else."""

import os
import random
import subprocess
import sys
import time

import psutil
import pytest

from qcrd.faults.harm import Harm, belonging
from qcrd.storage import journal
from qcrd.storage.home import RECORD, Home

WORKER = "import time; time.sleep(60)"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path / "home")
    for name, finished in (("a", True), ("b", False)):
        folder = home.cell(name)
        folder.mkdir(parents=True)
        (folder / "checkpoint-00000001.safetensors").write_bytes(bytes(100))
        with journal.Journal(folder / journal.FILE) as log:
            log.metrics(1, loss=0.5)
            log.metrics(2, loss=0.25)
        if finished:
            (folder / RECORD).write_text("{}" * 20)
    (home.samples / "s").mkdir(parents=True)
    (home.samples / "s" / "x.parquet").write_bytes(bytes(100))
    return home


@pytest.fixture
def harm(home):
    return Harm(home, None, random.Random(0))


def start(home, title):
    """A process that works in the home under a name such as Ray gives its workers."""
    environment = {**os.environ, "QCRD_HOME": str(home.root)}
    process = subprocess.Popen([title, "-c", WORKER], executable=sys.executable, env=environment)
    deadline = time.monotonic() + 10
    while process.pid not in {p.pid for p in belonging(home)} and time.monotonic() < deadline:
        time.sleep(0.05)
    return process


def test_only_workers_of_this_home_are_killed(harm, home, tmp_path):
    worker = start(home, "ray::ImplicitFunc.train")
    driver = start(home, "python")
    other = start(Home(tmp_path / "other"), "ray::ImplicitFunc.train")
    try:
        assert harm.kill_worker() == "worker killed"
        assert worker.wait(10) == -9 and driver.poll() is None and other.poll() is None
        assert harm.kill_worker() is None, "there is none left"
        assert harm.kill_raylet() is None
    finally:
        for process in (worker, driver, other):
            process.kill()
            process.wait()


def test_a_frozen_worker_goes_on(harm, home, monkeypatch):
    monkeypatch.setattr("qcrd.faults.harm.PAUSE", 0.3)
    worker = start(home, "ray::ImplicitFunc.train")
    try:
        assert harm.freeze_worker() == "worker frozen"
        process = psutil.Process(worker.pid)
        seen = set()
        deadline = time.monotonic() + 10
        while not {"stopped", "sleeping"} <= seen and time.monotonic() < deadline:
            seen.add(process.status())
        assert {"stopped", "sleeping"} <= seen
    finally:
        worker.kill()
        worker.wait()


def test_one_bit_is_flipped_in_one_checkpoint(harm, home):
    assert harm.flip_bit() == "checkpoint's bit flipped"
    contents = [path.read_bytes() for path in home.root.glob("cells/*/checkpoint-*")]
    assert sorted(sum(byte.bit_count() for byte in content) for content in contents) == [0, 1]
    assert harm.flip_sample() == "sample's bit flipped"
    assert sum(byte.bit_count() for byte in (home.samples / "s" / "x.parquet").read_bytes()) == 1


def test_checkpoints_and_records_are_cut_and_only_unfinished_journals_torn(harm, home):
    whole = (home.cell("a") / journal.FILE).read_bytes()
    assert harm.cut_checkpoint() == "checkpoint cut"
    assert harm.tear_record() == "record torn"
    assert (home.cell("a") / RECORD).stat().st_size == 20
    assert harm.tear_journal() == "journal torn"
    assert (home.cell("a") / journal.FILE).read_bytes() == whole
    torn = (home.cell("b") / journal.FILE).read_bytes()
    assert len(torn) == len(whole) - 5 and torn[-1:] != b"\n"


def test_where_nothing_is_there_nothing_is_done(tmp_path):
    harm = Harm(Home(tmp_path / "empty"), None, random.Random(0))
    files = (harm.flip_bit, harm.cut_checkpoint, harm.tear_journal, harm.tear_record, harm.flip_sample)
    assert [act() for act in files] == [None] * 5
