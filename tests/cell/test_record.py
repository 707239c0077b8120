"""What surrounds a cell's work: what a failure leaves, and who may work."""

import errno
import json
import logging
import os
import time

import pytest
import torch
from daily import some
from small_cells import fill, make_cell

from qcrd.cell.answers import sample_store
from qcrd.cell.discriminator import ensure_discriminator
from qcrd.cell.record import ERROR, Outcome, record_once
from qcrd.cell.run import run_cell
from qcrd.errors import OutOfMemory, StoreError
from qcrd.samples import shards
from qcrd.storage import journal as journals
from qcrd.storage.home import RECORD, Home

DONE = Outcome("done", 1, {"test": 50.0, "validation": 50.0}, 1, 0.1)


@pytest.fixture
def home(tmp_path):
    return Home(tmp_path)


@pytest.fixture
def cell(home):
    return make_cell(home, "finetuning")


def folder_of(cell, home):
    return home.cell(cell.id)


def last(folder):
    return journals.read(folder / journals.FILE)[-1]


@pytest.mark.parametrize(
    "trouble, words",
    [
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "out of GPU memory.*batch"),
        (MemoryError(), "out of memory.*concurrent_cells"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
            "out of memory.*lower training.batch",
        ),
    ],
)
def test_a_cell_out_of_memory_is_marked_so_with_what_to_do(cell, home, trouble, words):
    def work(folder, journal):
        raise trouble

    with pytest.raises(OutOfMemory, match=words):
        record_once(cell, "cell", home, work)
    folder = folder_of(cell, home)
    assert last(folder).status == "failed" and last(folder).message.startswith("OutOfMemory: out of")
    assert type(trouble).__name__ in (folder / ERROR).read_text()
    assert home.record(folder.name) is None
    record_once(cell, "cell", home, lambda folder, journal: DONE)  # the next call tries again
    assert home.record(folder.name).status == "done" and not (folder / ERROR).exists()


def test_a_real_allocation_that_is_too_large_counts_as_out_of_memory(cell, home):
    with pytest.raises(OutOfMemory):
        record_once(cell, "cell", home, lambda folder, journal: torch.empty(1 << 60))


@pytest.mark.parametrize("taken", some(range(0, 12, 2), [6]))
def test_a_disk_that_fills_up_at_any_write_leaves_a_cell_that_goes_on(home, monkeypatch, taken):
    cell = make_cell(home, "finetuning", "gold", seed=3)
    fsync, written = os.fsync, []

    def full(number):
        written.append(number)
        if len(written) > taken:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(number)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StoreError, match="No space left on device; free some space"):
            run_cell(cell, "cell", home)
    folder = folder_of(cell, home)
    assert not list(folder.glob(".*.tmp")) and home.record(folder.name) is None
    for file in folder.glob("*.json"):
        json.loads(file.read_text())
    assert run_cell(cell, "cell", home).accuracy == run_cell(cell, "cell", Home(home.root / "whole")).accuracy


def test_a_record_that_is_no_record_means_not_finished(cell, home):
    record_once(cell, "cell", home, lambda folder, journal: DONE)
    folder = folder_of(cell, home)
    for text in ("[]", "{}", "3", '{"id": 1, "colour": 2}', "\x00", ""):
        (folder / RECORD).write_text(text)
        assert home.record(folder.name) is None


def test_a_holder_that_was_thought_dead_writes_nothing_any_more(cell, home):
    def work(folder, journal):
        journal.metrics(1, loss=1.0)
        number = max(int(f.stem) for f in (folder / "lease").iterdir())
        (folder / "lease" / str(number + 1)).write_text("another took over")
        journal.metrics(2, loss=0.5)

    with pytest.raises(StoreError, match="another went on in its place"):
        record_once(cell, "cell", home, work)
    events = journals.read(folder_of(cell, home) / journals.FILE)
    assert [e.step for e in events if isinstance(e, journals.Metrics)] == [1]
    assert not any(isinstance(e, journals.Status) for e in events)


def test_the_lease_is_given_back_whatever_happens(cell, home):
    def work(folder, journal):
        assert str(os.getpid()) in str(home.lock_cell(folder.name).holder())
        raise ValueError("mine")

    with pytest.raises(ValueError, match="mine"):
        record_once(cell, "cell", home, work)
    assert home.lock_cell(folder_of(cell, home).name).holder() is None


def test_a_clock_that_is_set_back_changes_no_result(home, monkeypatch):
    cell = make_cell(home, "finetuning", "gold", seed=4)
    whole = run_cell(cell, "cell", Home(home.root / "whole"))
    now = [time.time_ns()]

    def back():
        now[0] -= 3_600_000_000_000  # an hour, every time somebody looks
        return now[0]

    monkeypatch.setattr(time, "time_ns", back)
    monkeypatch.setattr(time, "time", lambda: back() / 1e9)
    record = run_cell(cell, "cell", home)
    assert (record.accuracy, record.chosen_step) == (whole.accuracy, whole.chosen_step)
    assert record.seconds >= 0


@pytest.mark.slow
def test_a_damaged_discriminator_is_pretrained_again_to_the_same_weights(home, caplog):
    cell = make_cell(home, "qcrd")
    fill(home, cell)
    path = ensure_discriminator(cell, home)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:])
    with caplog.at_level(logging.WARNING):
        assert run_cell(cell, "cell", home).status == "done"
    assert f"{path.name} is damaged" in caplog.text and "pretrained again" in caplog.text
    assert path.read_bytes() == whole


def first_start(root, start, reports):
    """What each of eight jobs does first: samples, discriminator, cell."""
    torch.set_num_threads(1)
    home = Home(root)
    cell = make_cell(home, "qcrd")
    start.wait(120)
    fill(home, cell)
    record = run_cell(cell, "cell", home, report=lambda progress: reports.put(progress.step))
    assert record.status == "done"


def test_eight_first_starts_at_once_on_a_fresh_home_do_everything_once(tmp_path, forked):
    start, reports = forked.Barrier(8), forked.Queue()
    root = tmp_path / "home"
    jobs = [forked.Process(target=first_start, args=(root, start, reports)) for _ in range(8)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join(200)
    assert [job.exitcode for job in jobs] == [0] * 8
    assert [reports.get(timeout=5) for _ in range(4)] == [4, 8, 10, 12] and reports.empty()
    home = Home(root)
    store = sample_store(make_cell(home, "qcrd"), home)
    assert len(store.load()) == sum(table.num_rows for table in map(shards.read, shards.shards(store.folder)))
    assert len(list(home.discriminators.glob("*.safetensors"))) == 1
    assert not list(root.rglob(".*.tmp"))
