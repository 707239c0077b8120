import json
from pathlib import Path

import pytest

from qcrd.storage.files import atomic, read_json, write_json
from qcrd.storage.home import Home


def test_a_file_is_whole_or_absent(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert list(path.parent.iterdir()) == []
    with atomic(path) as temporary:
        temporary.write_text("first")
        assert not path.exists()
    with pytest.raises(RuntimeError), atomic(path) as temporary:
        temporary.write_text("half of the second")
        raise RuntimeError
    assert path.read_text() == "first"
    assert [f.name for f in path.parent.iterdir()] == ["file.txt"]


def test_json_goes_round_and_what_is_torn_reads_as_absent(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"é": [1, None, 0.5], "path": Path("a/b")})
    assert read_json(path) == {"é": [1, None, 0.5], "path": "a/b"}
    path.write_text(path.read_text()[:-4])
    assert read_json(path) is None
    path.write_bytes(b"\xff\xfe")
    assert read_json(path) is None
    assert read_json(tmp_path / "nowhere.json") is None
    with pytest.raises(TypeError, match="set does not belong"):
        write_json(path, {"values": {1, 2}})
    assert read_json(path) is None


def test_the_home_is_what_the_environment_names(tmp_path, monkeypatch):
    monkeypatch.setenv("QCRD_HOME", str(tmp_path))
    assert Home.default().root == tmp_path
    monkeypatch.setenv("QCRD_HOME", "")
    assert Home.default().root == Path("~/.qcrd").expanduser()


def test_a_record_that_is_absent_or_torn_means_not_finished(tmp_path):
    home = Home(tmp_path)
    assert home.record("abc") is None
    home.cell("abc").mkdir(parents=True)
    (home.cell("abc") / "record.json").write_text(json.dumps({"id": "abc"})[:-3])
    assert home.record("abc") is None
