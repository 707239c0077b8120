"""Cells, samples and what they share, on machines that have nothing but a bucket in common."""

import os
import threading
from dataclasses import asdict

import pytest
from object_storage import below, files, names
from small_cells import TASK, Killed, M, Teacher, make_cell

from qcrd import tasks
from qcrd.cell import discriminator
from qcrd.cell.answers import sample_requests, sample_store
from qcrd.cell.discriminator import ensure_discriminator
from qcrd.cell.finished import FinishedCell
from qcrd.cell.run import run_cell
from qcrd.errors import StoreError
from qcrd.samples import inventory
from qcrd.samples.draw import draw
from qcrd.samples.store import SampleStore
from qcrd.storage import journal
from qcrd.storage.home import PREDICTIONS, RECORD, Home
from qcrd.teacher.created import FIGURES
from qcrd.teacher.embedded import ensure_embedded_teacher
from qcrd.teacher.recipe import EmbeddedRecipe
from qcrd.training import trainer
from qcrd.types import Limit, Sample

SPLITS = tasks.get("arithmetic").load(TASK)
TEACHER = Teacher([*SPLITS.train, *SPLITS.validation])
IDENTITY = {"engine": "vllm", "model": "m"}


@pytest.fixture
def machines(s3, tmp_path):
    """Homes on three machines."""
    return [Home.at(tmp_path / name, s3) for name in "abc"]


def drawn(home):
    """The cell, once its samples are drawn on this machine."""
    cell = make_cell(home)
    requests = [r for split in ("train", "validation") for r in sample_requests(cell, split, M)]
    draw(sample_store(cell, home), requests, TEACHER, lambda *_: None)
    return cell, requests


def test_a_home_is_what_its_two_variables_name(monkeypatch, tmp_path):
    monkeypatch.setenv("QCRD_HOME", str(tmp_path))
    monkeypatch.setenv("QCRD_STORE", "s3://bucket/folder/")
    home = Home.default()
    assert (home.root, home.store) == (tmp_path, "s3://bucket/folder")
    assert str(home) == f"s3://bucket/folder (here: {tmp_path})"
    monkeypatch.delenv("QCRD_STORE")
    assert Home.default() == Home(tmp_path)


def test_what_one_machine_draws_no_other_draws_again(machines):
    a, b, _ = machines
    _, requests = drawn(a)
    cell = make_cell(b)
    store = sample_store(cell, b)
    assert store.missing(requests) == []
    assert store.load() == sample_store(cell, a).load()
    draw(store, requests, lambda _: pytest.fail("asked again"), lambda *_: None)
    more = sample_requests(cell, "train", M + 1)
    draw(store, more, TEACHER, lambda *_: None)
    assert sample_store(cell, a).missing(more) == []


def test_a_cell_of_a_lost_machine_goes_on_elsewhere_to_the_same_bytes(machines, monkeypatch, tmp_path):
    a, b, c = machines
    cell, _ = drawn(a)
    alone = Home(tmp_path / "alone")
    drawn(alone)
    whole = run_cell(cell, "cell", alone)
    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(trainer, "CHECKPOINT_SHARE", 1e9)
    steps = []

    def report(progress):
        steps.append(progress.step)
        if len(steps) == 3:
            lock[0].push()  # as it does by itself every few seconds
        if len(steps) == 4:
            raise Killed

    lock, folder = [], b.cell(whole.id)
    plain = Home.lock_cell

    def holding(self, cell_id):
        lock[:] = [plain(self, cell_id)]
        return lock[0]

    monkeypatch.setattr(Home, "lock_cell", holding)
    with monkeypatch.context() as lost:
        lost.setattr(
            "qcrd.storage.folder_lock.FolderLock.release", lambda self: self._release_leases()
        )  # nothing more is brought
        with pytest.raises(Killed):
            run_cell(cell, "cell", a, report)
    monkeypatch.setattr(Home, "lock_cell", plain)
    assert not (b.root / "cells").exists()

    seen = []
    record = run_cell(cell, "cell", b, lambda progress: seen.append(progress.step))
    assert seen[0] > steps[0], "it did not begin anew"
    for name in (PREDICTIONS, "student/model.safetensors"):
        assert (folder / name).read_bytes() == (alone.cell(whole.id) / name).read_bytes()
    assert record.accuracy == whole.accuracy

    # A third machine only looks: all is there, and the first one learns that it is done.
    c.refresh([whole.id])
    assert asdict(c.record(whole.id)) == asdict(record)
    assert c.predictions(record) == b.predictions(record)
    events = journal.read(c.cell(whole.id) / journal.FILE)
    assert [e.step for e in events if isinstance(e, journal.Metrics)] == sorted(
        e.step for e in events if isinstance(e, journal.Metrics)
    )
    assert not list(c.cell(whole.id).glob("*.safetensors")), "no weights for who only looks"
    assert (FinishedCell.find(c, whole.id).student / "model.safetensors").exists(), "until they are asked for"
    assert run_cell(cell, "cell", a) == record
    left = {name for name in files(b.store) if name.startswith(f"cells/{whole.id}/")}
    assert not any("checkpoint-" in name or "best-" in name for name in left)
    assert f"cells/{whole.id}/{RECORD}" in left


def test_cells_that_run_elsewhere_are_seen_as_running(machines):
    a, b, _ = machines
    cell, _ = drawn(a)
    cell_id = cell.id
    states = []

    def report(progress):
        b.refresh([cell_id])
        states.append(b.lock_cell(cell_id).holder())

    run_cell(cell, "cell", a, report)
    assert str(os.getpid()) in str(states[0])
    assert b.lock_cell(cell_id).holder() is None


def test_a_discriminator_is_pretrained_once_for_all_machines(machines, monkeypatch):
    a, b, _ = machines
    cell, _ = drawn(a)
    path = ensure_discriminator(cell, a)
    monkeypatch.setattr(discriminator, "new_discriminator", lambda _: pytest.fail("pretrained again"))
    again = ensure_discriminator(cell, b)
    assert again.read_bytes() == path.read_bytes() and again != path
    assert again.with_suffix(".json").exists()


def test_a_damaged_result_is_had_again_from_the_bucket(machines):
    a, *_ = machines
    cell, _ = drawn(a)
    record = run_cell(cell, "cell", a)
    path = a.cell(record.id) / PREDICTIONS
    path.write_bytes(path.read_bytes()[:-20])
    a.check_result(record.id)
    assert a.predictions(record)
    a.forget_result(record.id)
    a.refresh([record.id])
    assert a.record(record.id) is None, "forgotten in the bucket too"


def test_results_of_a_time_before_the_bucket_are_handed_in(machines):
    a, b, _ = machines
    before = Home(a.root)
    cell, _ = drawn(before)
    record = run_cell(cell, "cell", before)
    a.refresh([record.id])
    b.refresh()
    assert b.record(record.id) == record


def test_teachers_and_discriminators_of_a_time_before_the_bucket_are_handed_in(machines):
    a, b, _ = machines
    before = Home(a.root)
    cell, _ = drawn(before)
    ensure_discriminator(cell, before)
    folder = a.teachers / EmbeddedRecipe().fingerprint()
    folder.mkdir(parents=True)
    (folder / FIGURES).write_text("{}")
    drawn(a)
    ensure_discriminator(cell, a)
    assert ensure_embedded_teacher(a.teachers, EmbeddedRecipe(), lambda *_: None, a.bucket) == folder
    there = names(a.store)
    assert f"teachers/{folder.name}/{FIGURES}" in there
    assert sum(name.startswith("discriminators/") for name in there) == 2
    assert (b.fetch(b.teachers / folder.name) / FIGURES).exists()


def samples(*indices, question="q"):
    return [Sample("p", question, i, f"answer {i}", "stop", 3) for i in indices]


def stores(homes):
    return [SampleStore(home.samples, IDENTITY, Limit(9, None), bucket=home.bucket) for home in homes]


def add(store, *batches):
    assert store.acquire(10)
    for batch in batches:
        store.add(batch, {"p": "prompt"})
    return store


def test_samples_of_a_time_before_the_bucket_are_handed_in_beside_what_is_there(machines):
    a, b, c = machines
    add(stores([Home(a.root)])[0], samples(0, 1)).release()
    add(stores([b])[0], samples(2)).release()
    (store,) = stores([a])
    assert {k[1] for k in store.load()} == {0, 1, 2}
    assert store.acquire(10)
    store.release()
    assert {k[1] for k in stores([c])[0].load()} == {0, 1, 2}


def test_shards_that_were_merged_elsewhere_go_here_too_and_do_not_come_back(machines, monkeypatch):
    monkeypatch.setattr("qcrd.samples.store.FEW", 1)
    a, b, _ = machines
    first, second = stores([a, b])
    add(first, samples(0), samples(1), samples(2)).release()
    assert len(second.load()) == 3
    store = add(stores([a])[0])
    store.compact()
    store.release()
    assert second.acquire(10)
    second.release()
    for home in (a, b):
        assert len(list((home.samples / first.folder.name).glob("*.parquet"))) == 1
    assert sum(name.endswith(".parquet") for name in files(a.store)) == 1
    assert len(second.load()) == 3


def test_a_damaged_shard_is_had_again_from_the_bucket_or_goes_there_too(machines):
    a, b, _ = machines
    store = add(stores([a])[0], samples(0))
    store.release()
    (shard,) = store.folder.glob("*.parquet")
    whole, stat = shard.read_bytes(), shard.stat()
    shard.write_bytes(whole[:-9])
    assert len(store.load()) == 1 and not store.damaged, "what is shorter than there is had again at once"
    flipped = bytes([whole[0] ^ 1]) + whole[1:]
    shard.write_bytes(flipped)
    os.utime(shard, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert len(store.load()) == 1 and store.damaged, "a bad disk"
    a.bucket.write(shard, flipped)
    (other,) = stores([b])
    assert other.load() == {}
    assert not any(name.endswith(".parquet") for name in files(a.store))


def test_two_machines_draw_each_sample_once(machines):
    asked = []

    def teacher(requests):
        for request in requests:
            asked.append(request.key)
            yield [Sample(request.prompt_id, request.question_id, request.index, "a", "stop", 1)]

    cell = make_cell(machines[0])
    requests = sample_requests(cell, "train", 2)
    threads = [
        threading.Thread(target=draw, args=(store, requests, teacher, lambda *_: None), kwargs={"look": 0.2})
        for store in stores(machines)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(asked) == sorted({r.key for r in requests})


def test_a_sampler_that_is_deleted_goes_from_the_bucket(machines):
    a, b, _ = machines
    store = add(stores([a])[0], samples(0))
    with pytest.raises(StoreError, match="in use"):
        inventory.remove(b.fetch(b.samples) / store.folder.name, b)
    store.release()
    inventory.remove(b.fetch(b.samples) / store.folder.name, b)
    assert not any(name.startswith("samples/") for name in files(a.store))
    assert not below(b.samples)
