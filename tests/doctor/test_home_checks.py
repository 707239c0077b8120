"""The home: on whatever file system, writable or not."""

import errno
import io
import os

import pytest

from qcrd.doctor import home as place
from qcrd.errors import StoreError
from qcrd.storage.home import Home


def states(checks):
    return [check.state for check in checks]


def test_a_home_that_is_not_there_is_judged_by_the_folder_above_and_not_made(tmp_path):
    (found,) = place.folder(Home(tmp_path / "a" / "b"))
    assert found.state in ("ok", "warning") and "not made yet" in found.found
    assert list(tmp_path.iterdir()) == []


def test_a_home_that_cannot_be_written_is_an_error_with_two_ways_out(tmp_path, monkeypatch):
    def refused(*args, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(place.tempfile, "mkdtemp", refused)
    (found,) = place.folder(Home(tmp_path))
    assert found.state == "error" and "Read-only file system" in found.found
    assert "chmod" in found.remedy and "QCRD_HOME" in found.remedy


def test_a_home_that_is_a_file_is_an_error(tmp_path):
    (tmp_path / "home").write_text("")
    assert states(place.folder(Home(tmp_path / "home"))) == ["error"]


def test_everything_that_runs_rest_on_works_in_a_plain_folder(tmp_path):
    assert place.folder_problem(tmp_path) == ""


def test_leases_that_do_not_work_are_an_error(tmp_path, monkeypatch):
    def refused(lease, timeout=None):
        raise StoreError("cannot write there")

    monkeypatch.setattr(place.Lease, "acquire", refused)
    (found,) = place.folder(Home(tmp_path))
    assert found.state == "error" and "cannot write there" in found.found
    assert "QCRD_HOME" in found.remedy


def test_a_file_system_that_makes_a_file_twice_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(place, "open", lambda path, mode: io.StringIO(), raising=False)
    assert "created twice" in place.folder_problem(tmp_path)


@pytest.mark.parametrize("trouble", [None, OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))])
def test_a_file_system_whose_locks_do_not_work_is_a_warning(tmp_path, monkeypatch, trouble):
    def flock(file, how):
        if trouble:
            raise trouble

    assert place.locks(tmp_path)
    monkeypatch.setattr(place.fcntl, "flock", flock)
    assert not place.locks(tmp_path)
    (found,) = place.folder(Home(tmp_path))
    assert found.state == "warning" and "NFS 4" in found.remedy


def test_the_file_system_of_a_folder_is_that_of_the_nearest_mount(tmp_path, monkeypatch):
    class Part:
        def __init__(self, mountpoint, fstype):
            self.mountpoint, self.fstype = mountpoint, fstype

    parts = [Part("/", "ext4"), Part(str(tmp_path), "nfs4"), Part(f"{tmp_path}/a", "tmpfs")]
    monkeypatch.setattr(place.psutil, "disk_partitions", lambda all: parts)
    assert place.file_system(tmp_path / "b") == ("nfs4", str(tmp_path))
    (tmp_path / "a").mkdir()
    (found,) = place.folder(Home(tmp_path / "a"))
    assert found.state == "warning" and "gone after a restart" in found.found


@pytest.mark.parametrize("free, state", [(0.5, "error"), (5, "warning"), (50, "ok")])
def test_the_disk_is_judged_by_what_is_free(tmp_path, free, state):
    assert place.disk_space("disk", tmp_path, free * place.GIB).state == state
