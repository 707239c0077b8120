"""Folders and zips of others: what leads out of them is refused, what is torn is said."""

import stat
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcrd.errors import DataError
from qcrd.storage import archives

SECRET = "not for anybody"


def everything(name):
    return True


def contents(path, wanted=everything):
    return {name: read().decode() for name, read in archives.files(path, wanted).items()}


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "secret.json").write_text(SECRET)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.json").write_text("1")
    return tmp_path / "data"


def test_a_folder_and_a_zip_give_what_is_wanted_of_them(folder, tmp_path):
    (folder / "b.txt").write_text("2")
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        for file in folder.iterdir():
            archive.write(file, f"inner/{file.name}")

    def wanted(name):
        return name.endswith(".json")

    assert contents(tmp_path / "z.zip", wanted) == {"inner/a.json": "1"}
    assert contents(folder, wanted) == {(folder / "a.json").as_posix(): "1"}


@pytest.mark.parametrize("target", ["../secret.json", "{outside}/secret.json"])
def test_a_link_out_of_a_folder_is_refused(folder, target):
    (folder / "b.json").symlink_to(target.format(outside=folder.parent))
    with pytest.raises(DataError, match=r"b\.json is a link to .*secret\.json.*put a copy in its place"):
        archives.files(folder, everything)


def test_links_within_a_folder_and_into_the_hubs_own_cache_are_followed(folder, tmp_path):
    (folder / "b.json").symlink_to("a.json")
    assert set(contents(folder).values()) == {"1"}
    repository = tmp_path / "datasets--x"
    (repository / "blobs").mkdir(parents=True)
    (repository / "blobs" / "f00").write_text("3")
    snapshot = repository / "snapshots" / "abc" / "inner"
    snapshot.mkdir(parents=True)
    (snapshot / "c.json").symlink_to("../../../blobs/f00")
    assert list(contents(snapshot).values()) == ["3"]


@pytest.mark.parametrize("name", ["../a.json", "x/../../a.json", "/etc/a.json", "C:/a.json", "..\\a.json"])
def test_a_member_whose_name_leads_out_is_refused(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "z.zip", "w") as archive:
        archive.writestr(name, "1")
    with pytest.raises(DataError, match="leads out of the archive"):
        archives.files(tmp_path / "z.zip", everything)


def test_links_encrypted_and_endless_members_are_refused(tmp_path, monkeypatch):
    link = zipfile.ZipInfo("a.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    secret = zipfile.ZipInfo("b.json")
    with zipfile.ZipFile(tmp_path / "z.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(secret, "x")
        archive.writestr("c.json", "0" * 10_000_000)  # 10 kB packed
    monkeypatch.setattr(archives, "LARGEST", 1_000_000)
    for name, why in (("a.json", "is a link"), ("c.json", "10000000 bytes, more than the 1000000")):
        with pytest.raises(DataError, match=why):
            archives.files(tmp_path / "z.zip", lambda each, name=name: each == name)
    assert contents(tmp_path / "z.zip", lambda name: name == "b.json") == {"b.json": "x"}
    with zipfile.ZipFile(tmp_path / "z.zip") as archive:
        member = archive.getinfo("b.json")
    member.flag_bits |= 1
    assert archives._fault(member) == "is encrypted"


@given(st.binary(min_size=1, max_size=40), st.integers(0, 200))
def test_a_torn_zip_is_said_and_never_crashes(tmp_path_factory, noise, place):
    path = tmp_path_factory.mktemp("zips") / "z.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.json", '["one", "two", "three"]' * 20)
    whole = path.read_bytes()
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    try:
        found = contents(path)
    except DataError:
        return
    assert all(isinstance(text, str) for text in found.values())
