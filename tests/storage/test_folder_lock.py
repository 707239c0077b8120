"""A lock on a folder that several machines share through a bucket."""

import shutil
import threading
import time
from contextlib import suppress

import pytest
from daily import examples
from hypothesis import given
from hypothesis import strategies as st
from object_storage import below, files

from qcrd.errors import StoreError
from qcrd.storage import folder_lock
from qcrd.storage.bucket import Bucket
from qcrd.storage.bucket_leases import LEASES
from qcrd.storage.folder_lock import FolderLock


@pytest.fixture
def url(tmp_path):
    """A bucket that needs no server: `test_bucket` holds that S3 is one too."""
    return f"file://{tmp_path / 'bucket'}"


def machine(url, root, **options):
    return FolderLock(root / "x", Bucket(url, root), **options)


def there(url):
    return {name: content for name, content in files(url).items() if not name.startswith(LEASES)}


def test_a_folder_is_brought_when_it_is_taken_and_when_it_is_given_back(url, tmp_path):
    with machine(url, tmp_path / "a", exact=True) as a:
        (a.folder / "record.json").write_text("1")
        (a.folder / "deep").mkdir()
        (a.folder / "deep/file").write_text("2")
        (a.folder / ".temporary.tmp").write_text("3")
        a.push()
        assert there(url) == {"x/record.json": b"1", "x/deep/file": b"2"}
        (a.folder / "deep/file").unlink()
    assert there(url) == {"x/record.json": b"1"}
    with machine(url, tmp_path / "b") as b:
        assert (b.folder / "record.json").read_text() == "1"


def test_a_machine_that_was_behind_goes_on_from_what_the_bucket_has(url, tmp_path):
    with machine(url, tmp_path / "a", exact=True) as a:
        (a.folder / "checkpoint-1").write_text("1")
    (a.folder / "checkpoint-2").write_text("never brought there: the machine was lost")
    with machine(url, tmp_path / "b", exact=True) as b:
        (b.folder / "checkpoint-1").unlink()
        (b.folder / "checkpoint-3").write_text("3")
    with machine(url, tmp_path / "a", exact=True) as a:
        assert {p.name for p in a.folder.glob("checkpoint*")} == {"checkpoint-3"}


def test_a_file_removed_during_its_upload_does_not_stay_in_the_bucket(url, tmp_path, monkeypatch):
    with machine(url, tmp_path / "a", exact=True) as a:
        first, put = a.folder / "checkpoint-1.safetensors", Bucket.put

        def put_and_remove(bucket, path):
            sent = put(bucket, path)
            if path != first:
                return sent
            path.unlink()
            return put(bucket, path)  # as where the file goes after it was sent and before it is looked at

        monkeypatch.setattr(Bucket, "put", put_and_remove)
        first.write_text("1")
        a.push()
        (a.folder / "record.json").write_text("2")
    assert there(url) == {"x/record.json": b"2"}


@pytest.mark.parametrize("other", ["cell.json", None])
def test_what_only_this_machine_has_finished_is_handed_in(url, tmp_path, other):
    if other:
        with machine(url, tmp_path / "b", exact=True) as b:
            (b.folder / other).write_text("begun elsewhere")
    folder = tmp_path / "a/x"
    folder.mkdir(parents=True)
    (folder / "record.json").write_text("of a time before there was a bucket")
    machine(url, tmp_path / "a", exact=True).__enter__().release()
    assert set(there(url)) == {"x/record.json"}


def test_what_an_outage_kept_here_is_brought_when_this_machine_goes_on(url, tmp_path):
    with machine(url, tmp_path / "a", exact=True) as a:
        (a.folder / "checkpoint-1").write_text("1")
        a.push()
        (a.folder / "checkpoint-2").write_text("2")
        a.release(bring=False)  # as where it could not
        a.acquire()
    assert set(there(url)) == {"x/checkpoint-1", "x/checkpoint-2"}


def test_a_training_from_before_the_bucket_keeps_its_checkpoint(url, tmp_path):
    with machine(url, tmp_path / "b", exact=True) as b:
        (b.folder / "journal.jsonl").write_text("begun elsewhere, and not far\n")
    folder = tmp_path / "a/x"
    folder.mkdir(parents=True)
    (folder / "checkpoint-1").write_text("1")
    with machine(url, tmp_path / "a", exact=True) as a:
        assert (a.folder / "checkpoint-1").exists()
    assert "x/checkpoint-1" in there(url)


def test_a_folder_that_somebody_removes_here_stays_in_the_bucket(url, tmp_path):
    a = machine(url, tmp_path / "a", exact=True)
    a.acquire()
    (a.folder / "record.json").write_text("1")
    a.push()
    shutil.rmtree(tmp_path / "a")
    with pytest.raises(StoreError):
        a.release()
    assert there(url) == {"x/record.json": b"1"}


def test_of_two_machines_one_works_and_the_other_waits_and_finds_what_was_done(url, tmp_path):
    done = []

    def work(name):
        with machine(url, tmp_path / name) as lock:
            if not (lock.folder / "record.json").exists():
                time.sleep(0.2)
                done.append(name)
                (lock.folder / "record.json").write_text(name)

    threads = [threading.Thread(target=work, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(done) == 1


def test_who_was_taken_for_dead_may_push_no_more(url, tmp_path):
    a = machine(url, tmp_path / "a", expiry=0.5)
    a.acquire()
    (a.folder / "file").write_text("a")
    a.push()
    number = max(int(name) for name in a._remote.lease.store.names())
    a._remote.lease.store.create(str(number + 1), "{}")  # as another machine does
    (a.folder / "file").write_text("what it did before it knew")
    with pytest.raises(StoreError, match="another went on in its place"):
        a.push()
    assert there(url) == {"x/file": b"a"}
    with pytest.raises(StoreError, match="another went on in its place"):
        a.check()  # who trains on would do it for nothing
    with pytest.raises(StoreError):
        a.release()
    assert a.acquire(timeout=0) is False, "the other has it"


def test_lines_that_are_half_written_stay_here_until_they_are_whole(url, tmp_path):
    with machine(url, tmp_path / "a") as a, open(a.folder / "journal.jsonl", "wb", buffering=0) as journal:
        journal.write(b"1\n2")
        a.push()
        assert there(url)["x/journal.jsonl"] == b"1\n"
        journal.write(b"2\n")
        a.push()
        assert there(url)["x/journal.jsonl"] == b"1\n22\n"


def test_changes_are_brought_as_time_goes_by_and_an_outage_is_said_once(url, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(folder_lock, "EVERY", 0.05)
    with machine(url, tmp_path / "a", background=True) as a:
        (a.folder / "file").write_text("1")
        _until(lambda: there(url) == {"x/file": b"1"})
        with monkeypatch.context() as away:
            away.setattr(Bucket, "put", _away)
            away.setattr(Bucket, "write", _refused)
            (a.folder / "file").write_text("22")
            _until(lambda: caplog.records)
            time.sleep(0.3)
        _until(lambda: there(url) == {"x/file": b"22"})
    assert len(caplog.records) == 1 and "brought there later" in caplog.text


def test_without_a_bucket_a_hold_is_a_lease(tmp_path):
    with FolderLock(tmp_path / "x") as a:
        a.check()
        a.push()
        assert not FolderLock(tmp_path / "x").acquire(timeout=0)
    assert {p.split("/")[0] for p in below(tmp_path / "x")} == {"lease"}


@pytest.mark.slow
@examples(40)
@given(st.data())
def test_after_any_loss_of_the_machine_the_bucket_has_a_checkpoint_with_all_it_points_to(
    tmp_path_factory, data
):
    """A training of a few iterations, during each of which the bucket may get a push that breaks off."""
    folder = tmp_path_factory.mktemp("any")
    url = f"file://{folder / 'bucket'}"
    lock = machine(url, folder / "a")
    lock.acquire()
    journal = b""
    put = lock._remote.bucket.put
    for iteration in range(data.draw(st.integers(1, 5))):
        journal += b"line\n" * data.draw(st.integers(0, 3))
        (lock.folder / "journal.jsonl").write_bytes(journal)
        best = data.draw(st.integers(0, iteration))
        (lock.folder / f"best-{best}").write_text("weights")
        _checkpoint(lock.folder, iteration, best, len(journal))
        left = data.draw(st.integers(0, 5))

        def some(path):
            nonlocal left
            left -= 1
            return put(path) if left >= 0 else _away()

        lock._remote.bucket.put = some
        with suppress(StoreError):
            lock.push()
        _check(there(url))
    lock._remote.bucket.put = put
    lock.release()
    _check(there(url), must=True)


def _checkpoint(folder, iteration, best, position):
    """As the trainer does: the newest two stay, with what was best at either."""
    (folder / f"checkpoint-{iteration}").write_text(f"{best} {position}")
    kept = sorted(folder.glob("checkpoint-*"))
    for old in kept[:-2]:
        old.unlink()
    needed = {p.read_text().split()[0] for p in kept[-2:]}
    for path in folder.glob("best-*"):
        if path.name.removeprefix("best-") not in needed:
            path.unlink()


def _check(found, must=False):
    checkpoints = [name for name in found if "checkpoint-" in name]
    for name in checkpoints:
        best, position = found[name].decode().split()
        if name == max(checkpoints):
            assert f"x/best-{best}" in found
        assert len(found["x/journal.jsonl"]) >= int(position)
    assert checkpoints or not must


LAG = 2


def _training(folder, iterations):
    """What a trainer with snapshots does to its folder, one file after the other."""
    for iteration in range(iterations):
        snapshots = range(max(0, iteration - LAG), iteration + 1)
        (folder / f"snapshot-{iteration}").write_text("weights")
        yield
        (folder / f"checkpoint-{iteration}").write_text(" ".join(f"snapshot-{n}" for n in snapshots))
        yield
        (folder / f"checkpoint-{iteration - 2}").unlink(missing_ok=True)
        yield
        (folder / f"snapshot-{iteration - LAG - 2}").unlink(missing_ok=True)
        yield


@pytest.mark.slow
@examples(100)
@given(st.data())
def test_a_checkpoint_in_the_bucket_has_its_snapshots_while_the_training_goes_on_during_a_push(
    tmp_path_factory, data
):
    """The training does something before every look at a file, and around every object operation."""
    folder = tmp_path_factory.mktemp("any")
    url = f"file://{folder / 'bucket'}"
    lock = machine(url, folder / "a", exact=True)
    lock.acquire()
    training = _training(lock.folder, 12)
    bucket = lock._remote.bucket
    put, remove, look = bucket.put, bucket.remove, folder_lock.look

    def on():
        for _ in range(data.draw(st.integers(0, 2))):
            next(training, None)

    def act(action):
        def acting(*arguments):
            on()
            if data.draw(st.integers(0, 9)) == 0:
                raise StoreError("the storage is away")
            result = action(*arguments)
            _check_snapshots(there(url))
            on()
            return result

        return acting

    def looking(path):
        on()
        return look(path)

    bucket.put = act(put)
    bucket.remove = lambda paths: [act(remove)([path]) for path in paths]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_lock, "look", looking)
        for _ in range(8):
            on()
            with suppress(StoreError):
                lock.push()
            _check_snapshots(there(url))
    bucket.put, bucket.remove = put, remove
    for _ in training:
        pass
    lock.release()
    assert set(there(url)) == {
        *(f"x/checkpoint-{n}" for n in (10, 11)),
        *(f"x/snapshot-{n}" for n in (8, 9, 10, 11)),
    }


def _check_snapshots(found):
    checkpoints = [name for name in found if "checkpoint-" in name]
    if checkpoints:
        newest = max(checkpoints, key=lambda name: int(name.rpartition("-")[2]))
        missing = {f"x/{each}" for each in found[newest].decode().split()} - found.keys()
        assert not missing, f"{newest} lacks {missing}"


def _away(*_):
    raise StoreError("the storage is away")


def _refused(*_, **options):
    raise OSError("the storage is away")


def _until(holds):
    end = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.02)
