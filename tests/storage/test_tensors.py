"""Tensors on disk: every bit as it was written, or a refusal that names the file."""

import errno
import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from qcrd.errors import StoreError
from qcrd.storage import tensors
from qcrd.storage.tensors import DamagedTensors

KEPT = {
    "a.weight": torch.arange(6, dtype=torch.float32).reshape(2, 3),
    "b": torch.tensor(3.5, dtype=torch.bfloat16),
    "c.flag": torch.tensor([True, False]),
    "empty": torch.zeros(0, 4),
}
FACTS = {"iteration": 3, "progress": {"step": 12, "accuracy": {"test": 25.0}}}


def same(found):
    values, facts = found
    assert values.keys() == KEPT.keys() and facts == FACTS
    assert all(torch.equal(values[name], KEPT[name]) for name in KEPT)


def test_what_was_saved_is_loaded_and_equal_content_is_equal_bytes(tmp_path):
    first, second = tmp_path / "1", tmp_path / "2"
    tensors.save(first, KEPT, FACTS)
    tensors.save(second, dict(reversed(KEPT.items())), FACTS)
    same(tensors.load(first))
    assert first.read_bytes() == second.read_bytes()
    with pytest.raises(FileNotFoundError):
        tensors.load(tmp_path / "3")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("tensors") / "file.safetensors"
    tensors.save(path, KEPT, FACTS)
    return path, path.read_bytes()


@settings(deadline=None, derandomize=True, max_examples=300)
@given(st.data())
def test_no_flipped_bit_is_read_as_if_it_were_whole(file, data):
    path, whole = file
    place = data.draw(st.integers(0, 8 * len(whole) - 1))
    changed = bytearray(whole)
    changed[place // 8] ^= 1 << place % 8
    path.with_name("flipped").write_bytes(changed)
    try:
        same(tensors.load(path.with_name("flipped")))  # the header's padding means nothing
    except DamagedTensors as error:
        assert "flipped is damaged" in str(error)


@settings(deadline=None, derandomize=True, max_examples=100)
@given(st.binary(max_size=200) | st.integers(0, 700), st.booleans())
def test_torn_files_and_rubbish_are_refused(file, content, appended):
    path, whole = file
    if isinstance(content, int):
        content = whole[: min(content, len(whole) - 1)]
    elif appended:
        content = whole + b"x" + content
    path.with_name("torn").write_bytes(content)
    with pytest.raises(DamagedTensors, match="torn is damaged"):
        tensors.load(path.with_name("torn"))


def test_a_file_without_a_checksum_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file(KEPT, tmp_path / "foreign", metadata={"qcrd": "{}"})
    with pytest.raises(DamagedTensors):
        tensors.load(tmp_path / "foreign")


# A process whose files may not grow beyond a few kilobytes: the system itself refuses the write.
LIMITED = """
import resource, signal, sys, torch
from pathlib import Path
from qcrd.errors import StoreError
from qcrd.storage import tensors

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
path = Path(sys.argv[1])
tensors.save(path, {"a": torch.ones(4)})
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
try:
    tensors.save(path, {"a": torch.zeros(100_000)})
except StoreError as error:
    print(error)
"""


@pytest.mark.slow
def test_what_the_system_refuses_to_write_is_said_and_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "weights.safetensors"
    command = [sys.executable, "-c", LIMITED, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert f"cannot write {path}" in done.stdout and "ulimit -f" in done.stdout, done.stderr
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    assert torch.equal(tensors.load(path)[0]["a"], torch.ones(4))


def test_a_full_disk_is_said_with_what_to_do(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    tensors.save(path, KEPT, FACTS)

    def full(kept, where, metadata):
        where.write_bytes(b"half")
        raise tensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(tensors, "save_file", full)
    with pytest.raises(StoreError, match=rf"{os.strerror(errno.ENOSPC)}; free some space"):
        tensors.save(path, {}, FACTS)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    same(tensors.load(path))
