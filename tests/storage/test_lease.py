import json
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace

import pytest
from echo_teacher import IDENTITY, LIMIT, asked, samples_of

from qcrd.errors import StoreError
from qcrd.samples.store import SampleStore
from qcrd.storage import lease as lease_module
from qcrd.storage.lease import Lease, _this_process

SPAWN = multiprocessing.get_context("spawn")


@pytest.fixture(autouse=True)
def short_looks(monkeypatch):
    monkeypatch.setattr(lease_module, "POLL", 0.02)


def elsewhere(folder, **changes):
    """A lease that a process of another machine holds, or one with other `changes` to this process."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "1"
    holder = replace(_this_process(), **(changes or {"host": "elsewhere", "machine": "another"}))
    path.write_text(json.dumps({name: getattr(holder, name) for name in holder.__slots__}))
    return path


def hold(root, expiry, ready, go_on, outcome):
    """Take the lease, say so, and when told try to store samples."""
    store = SampleStore(root, IDENTITY, LIMIT, expiry=expiry)
    store.acquire()
    ready.set()
    go_on.wait(60)
    try:
        store.add(samples_of(asked(1, 1)))
        outcome.put("stored")
    except StoreError as error:
        outcome.put(str(error))


def race(folder, rounds, start, wins):
    """Go for the lease once a round, and keep it where it is won."""
    lease_module.POLL = 0.001
    for number in range(rounds):
        lease = Lease(folder / str(number))
        start.wait(60)
        if lease.acquire(timeout=0.05):
            wins.put(number)
        start.wait(60)


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lease of the store in `tmp_path`."""
    events = SPAWN.Event(), SPAWN.Event(), SPAWN.Queue()
    process = SPAWN.Process(target=hold, args=(tmp_path, 1.5, *events))
    process.start()
    assert events[0].wait(60)
    yield process, *events[1:]
    process.kill()
    process.join()


def store(tmp_path, expiry=1.5):
    return SampleStore(tmp_path, IDENTITY, LIMIT, expiry=expiry)


def test_one_holds_a_lease_and_the_next_gets_it_when_it_is_given_back(tmp_path):
    first, second = Lease(tmp_path), Lease(tmp_path)
    assert first.acquire(0)
    assert not second.acquire(0.05)
    assert second.holder().pid == os.getpid()
    first.check()
    first.release()
    assert second.holder() is None
    assert second.acquire(0)
    second.check()
    with pytest.raises(StoreError, match="only by who holds its lease"):
        first.check()


def test_a_lease_is_kept_longer_than_its_expiry_by_the_heartbeat(tmp_path):
    first, second = Lease(tmp_path, expiry=0.3), Lease(tmp_path, expiry=0.3)
    assert first.acquire(0)
    assert not second.acquire(1.0)
    first.check()


@pytest.mark.slow
def test_the_lease_of_a_killed_process_is_taken_over_at_once(tmp_path, holder):
    process, *_ = holder
    waiter = store(tmp_path, expiry=3600)
    assert not waiter.acquire(0.1)
    os.kill(process.pid, signal.SIGKILL)  # and not yet reaped: a zombie is dead too
    assert waiter.acquire(20)
    waiter.release()


@pytest.mark.slow
def test_a_stopped_holder_loses_the_lease_and_is_refused_when_it_wakes(tmp_path, holder):
    process, go_on, outcome = holder
    waiter = store(tmp_path)
    assert not waiter.acquire(2.0)  # it beats
    os.kill(process.pid, signal.SIGSTOP)
    assert waiter.acquire(20)
    os.kill(process.pid, signal.SIGCONT)
    go_on.set()
    assert "another went on in its place" in outcome.get(timeout=60)
    assert waiter.load() == {}
    waiter.add(samples_of(asked(1, 1)))
    waiter.release()
    assert len(waiter.load()) == 1


def test_a_holder_on_another_machine_is_dead_when_its_heartbeat_stops(tmp_path):
    path = elsewhere(tmp_path)
    lease = Lease(tmp_path, expiry=0.4)
    for _ in range(6):
        assert not lease.acquire(0.1)
        os.utime(path)
    assert lease.acquire(20)
    assert not path.exists()


def test_a_clock_that_is_set_back_kills_nobody(tmp_path):
    path = elsewhere(tmp_path)
    os.utime(path, (1, 1))  # its server thinks it is 1970
    lease = Lease(tmp_path, expiry=0.4)
    for beat in range(8):
        assert not lease.acquire(0.1)
        os.utime(path, (1000 - beat, 1000 - beat))


def test_time_in_which_the_waiter_hung_does_not_count_against_the_holder(tmp_path):
    elsewhere(tmp_path)
    lease = Lease(tmp_path, expiry=0.4)
    assert not lease.acquire(0)
    time.sleep(0.6)  # a file server that was away, say
    assert not lease.acquire(0)


def test_a_torn_lease_file_blocks_nobody_for_longer_than_the_expiry(tmp_path):
    (tmp_path / "7").write_text('{"host"')
    lease = Lease(tmp_path, expiry=0.2)
    assert not lease.acquire(0)
    assert lease.acquire(20)


def test_a_late_comer_to_a_number_that_is_long_past_does_not_hold(tmp_path, monkeypatch):
    first, late = Lease(tmp_path), Lease(tmp_path)
    seen = late._highest()  # nothing there
    for _ in range(3):
        first.acquire(0)
        first.release()
    first.acquire(0)
    looks = iter([seen])
    real = late._highest
    monkeypatch.setattr(late, "_highest", lambda: next(looks, None) or real())
    assert not late._take()
    first.check()


def test_who_waits_says_for_whom(tmp_path, caplog, monkeypatch):
    elsewhere(tmp_path / "sampler" / "lease")
    lease = Lease(tmp_path / "sampler" / "lease")
    with caplog.at_level(logging.WARNING):
        lease.acquire(0.1)
        lease.acquire(0.1)
    assert len(caplog.records) == 1
    assert f"waiting for process {os.getpid()} on elsewhere, since 20" in caplog.text
    monkeypatch.setattr(lease_module, "SAY", 0.0)
    lease.acquire(0)
    assert len(caplog.records) == 2


@pytest.mark.slow
def test_of_processes_that_go_for_a_dead_holders_lease_exactly_one_gets_it(tmp_path):
    rounds, racers = 60, 3
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for number in range(rounds):
        elsewhere(tmp_path / str(number), pid=dead.pid)
    start, wins = SPAWN.Barrier(racers), SPAWN.Queue()
    processes = [SPAWN.Process(target=race, args=(tmp_path, rounds, start, wins)) for _ in range(racers)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
        assert process.exitcode == 0
    won = Counter(wins.get(timeout=10) for _ in range(rounds))
    assert won == Counter(range(rounds)) and wins.empty()


def test_samples_are_stored_only_by_who_holds_the_lease(tmp_path):
    with pytest.raises(StoreError, match="only by who holds its lease"):
        store(tmp_path).add(samples_of(asked(1, 1)))


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        Lease(tmp_path / "file" / "lease").acquire()
