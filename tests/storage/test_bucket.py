"""A bucket: what S3 storage holds for several machines, and what it may not do to them."""

import os
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import fsspec
import pytest
from object_storage import files

from qcrd.errors import StoreError
from qcrd.storage import bucket as buckets
from qcrd.storage.bucket import Bucket, stamp_of
from qcrd.storage.bucket_leases import BucketLeases
from qcrd.storage.folder_lock import FolderLock
from qcrd.storage.lease import Lease


@pytest.fixture
def two(s3, tmp_path):
    """The same bucket behind the homes of two machines."""
    return Bucket(s3, tmp_path / "a"), Bucket(s3, tmp_path / "b")


def write(path, content=b"content"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_what_one_machine_brings_another_gets_and_only_once(two, monkeypatch):
    a, b = two
    for name in ("x/1", "x/deep/2", "y/3"):
        a.put(write(a.root / name, name.encode()))
    assert set(b.pull(b.root / "x")) == {"1", "deep/2"}
    assert (b.root / "x/deep/2").read_bytes() == b"x/deep/2"
    assert not (b.root / "y").exists()
    assert stamp_of(b.root / "x/1") == stamp_of(a.root / "x/1")
    monkeypatch.setattr(Bucket, "_get", lambda *_: pytest.fail("brought twice"))
    b.pull(b.root / "x")
    a.pull(a.root / "x")


def test_a_file_that_was_written_again_is_brought_again(two):
    a, b = two
    path = write(a.root / "x/1")
    a.put(path)
    b.pull(b.root / "x")
    write(path, b"longer content")
    a.put(path)
    b.pull(b.root / "x")
    assert (b.root / "x/1").read_bytes() == b"longer content"


def test_what_goes_while_it_is_brought_is_left_out(two, monkeypatch):
    a, b = two
    assert a.put(a.root / "x/gone") is None
    a.put(write(a.root / "x/1"))
    listed = Bucket.list

    def too_late(self, folder):
        found = listed(self, folder)
        self.remove([folder / "1"])
        return found

    monkeypatch.setattr(Bucket, "list", too_late)
    b.pull(b.root / "x")
    assert not (b.root / "x/1").exists() and not list((b.root / "x").glob(".*"))


def test_of_many_that_write_an_object_alone_one_succeeds(two):
    a, b = two

    def attempt(number):
        try:
            (a, b)[number % 2].write((a, b)[number % 2].root / "one", str(number).encode(), exclusive=True)
        except FileExistsError:
            return None
        return number

    with ThreadPoolExecutor(8) as pool:
        won = [n for n in pool.map(attempt, range(8)) if n is not None]
    assert len(won) == 1
    assert a.read(a.root / "one") == str(won[0]).encode()


def test_an_attempt_whose_answer_was_lost_is_known_again(two):
    a, _ = two
    a.write(a.root / "one", b"mine", exclusive=True)
    a.write(a.root / "one", b"mine", exclusive=True)
    with pytest.raises(FileExistsError):
        a.write(a.root / "one", b"another's", exclusive=True)


def test_storage_on_which_two_could_hold_one_lease_is_refused(two, monkeypatch):
    a, _ = two
    a.check()
    fs, _ = a._storage
    plain = fs.pipe_file

    def look_then_write(key, value, mode=None):
        if mode and fs.exists(key):
            raise FileExistsError(key)
        plain(key, value)

    for careless in (lambda key, value, mode=None: plain(key, value), look_then_write):
        monkeypatch.setattr(fs, "pipe_file", careless)
        with pytest.raises(StoreError, match="could hold one lease"):
            a.check()
    assert not files(a.url)


def test_an_object_whose_name_leads_out_of_its_folder_is_refused(two):
    a, _ = two
    fs, root = a._storage
    fs.pipe_file(f"{root}/x/../../evil", b"1")
    with pytest.raises(StoreError, match="leads out of its folder"):
        a.pull(a.root / "x")
    assert not (a.root.parent / "evil").exists()


def test_what_cannot_be_used_is_said_with_what_to_do(storage, tmp_path):
    path = write(tmp_path / "x")
    with pytest.raises(StoreError, match="no such bucket; create it"):
        Bucket("s3://nobodys/home", tmp_path).put(path)
    with pytest.raises(StoreError, match="has a password in it") as told:
        Bucket("s3://key:hidden@bucket/home", tmp_path)
    assert "hidden" not in str(told.value)
    with pytest.raises(StoreError, match="allowed: s3://BUCKET"):
        Bucket("nonsense://x", tmp_path).check()
    with pytest.raises(StoreError, match="pip install adlfs`, on all machines"):
        Bucket("az://container/home", tmp_path).check()


def test_storage_that_does_not_answer_is_waited_for_and_then_given_up(two, monkeypatch):
    a, b = two
    answers = iter([OSError("reset"), OSError("reset"), b"1"])

    def flaky(key):
        answer = next(answers)
        if isinstance(answer, OSError):
            raise answer
        return answer

    for each in two:
        monkeypatch.setattr(each._storage[0], "cat_file", flaky)
    monkeypatch.setattr(buckets, "wait_random_exponential", lambda max: lambda state: 0.01)
    assert a.read(a.root / "x") == b"1"
    answers = iter([OSError("reset")] * 1000)
    b.patience = 0.2
    with pytest.raises(StoreError, match="does not take or give: reset"):
        b.read(b.root / "x")


def test_frozen_storage_holds_work_up_and_loses_nothing(two, storage):
    a, b = two
    path = write(a.root / "x/1")
    with storage.frozen():
        bringing = threading.Thread(target=a.put, args=(path,))
        bringing.start()
        time.sleep(1)
        assert bringing.is_alive()
    bringing.join(30)
    b.pull(b.root / "x")
    assert (b.root / "x/1").read_bytes() == b"content"


def test_a_bucket_travels_to_other_processes(two):
    a, _ = two
    a.put(write(a.root / "x/1"))
    again = pickle.loads(pickle.dumps(a))  # noqa: S301 - ours
    assert again.list(a.root / "x").keys() == {"1"}


def test_a_lease_in_a_bucket_is_one_machines_until_it_gives_it_back(two):
    a, b = (Lease(BucketLeases(each, each.root / "x/lease"), expiry=60) for each in two)
    with a:
        a.check()
        assert str(os.getpid()) in str(b.holder())
        assert not b.acquire(timeout=0)
    assert b.holder() is None
    with b:
        b.check()
        with pytest.raises(StoreError, match="only by who holds its lease"):
            a.check()


def test_a_lease_in_a_bucket_falls_to_the_next_when_its_holders_heartbeat_stops(two, monkeypatch):
    a, b = (Lease(BucketLeases(each, each.root / "x/lease"), expiry=1.5) for each in two)
    monkeypatch.setattr("qcrd.storage.lease._machine", lambda: "another")  # so that no process id tells it
    a.acquire()
    monkeypatch.undo()
    assert not b.acquire(timeout=3), "its heartbeat goes on"
    a._stop.set()
    time.sleep(0.5)
    assert b.acquire(timeout=10)
    with pytest.raises(StoreError, match="another went on in its place"):
        a.check()
    b.check()
    b.release()


def test_a_lease_survives_storage_that_is_away_for_longer_than_it_lasts(two, storage):
    a, b = (FolderLock(each.root / "x", each, expiry=2) for each in two)
    with a:
        with storage.frozen():
            waiting = threading.Thread(target=b.acquire, args=(2,))
            waiting.start()
            time.sleep(4)
        waiting.join(60)
        a._remote.lease.check()


def test_nothing_but_the_bucket_is_asked_where_fsspec_keeps_listings(two):
    a, b = two
    assert b.list(b.root / "x") == {}
    a.put(write(a.root / "x/1"))
    assert b.list(b.root / "x").keys() == {"1"}
    assert fsspec.filesystem("s3") is not a._storage[0]
