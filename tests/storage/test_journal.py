import math
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qcrd.errors import StoreError
from qcrd.storage.journal import Artifact, Journal, Metrics, Params, Status, Tail, read


def test_what_is_written_is_read_back(tmp_path):
    (tmp_path / "sub").mkdir()
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.status("running")
        journal.params(precision="bf16", cut=3, revision=None)
        journal.metrics(10, **{"loss/total": 1.5, "accuracy": 40})
        journal.artifact("sub/predictions.jsonl")
        journal.artifact(tmp_path / "config.yaml")
        journal.status("done", "zwölf")
    events = read(tmp_path / "journal.jsonl")
    assert [type(e) for e in events] == [Status, Params, Metrics, Artifact, Artifact, Status]
    assert events[1].values == {"precision": "bf16", "cut": 3, "revision": None}
    assert events[2].step == 10 and events[2].values == {"loss/total": 1.5, "accuracy": 40.0}
    assert [events[3].path, events[4].path] == ["sub/predictions.jsonl", "config.yaml"]
    assert (events[5].status, events[5].message) == ("done", "zwölf")
    assert read(tmp_path / "journal.jsonl", start_line=4) == events[4:]


@settings(deadline=None)
@given(value=st.floats())
def test_every_float_survives(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        journal.metrics(0, x=value)
    [event] = read(path)
    assert event.values["x"] == value or (math.isnan(value) and math.isnan(event.values["x"]))


def test_an_event_is_readable_as_soon_as_the_call_returns(tmp_path):
    journal = Journal(tmp_path / "journal.jsonl")
    journal.metrics(1, loss=2.0)
    assert len(read(journal.path)) == 1
    journal.close()


def test_a_journal_that_does_not_exist_yet_has_no_events(tmp_path):
    assert read(tmp_path / "absent.jsonl") == []


@settings(deadline=None)
@given(cut=st.integers(min_value=0))
def test_a_file_cut_anywhere_keeps_its_whole_lines_and_can_be_continued(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("journal") / "journal.jsonl"
    with Journal(path) as journal:
        for step in range(5):
            journal.metrics(step, loss=float(step))
    content = path.read_bytes()
    cut %= len(content) + 1
    path.write_bytes(content[:cut])
    whole = content[:cut].count(b"\n")
    assert [e.step for e in read(path)] == list(range(whole))
    with Journal(path) as journal:
        journal.metrics(99, loss=0.0)
    assert [e.step for e in read(path)] == [*range(whole), 99]


def test_an_unreadable_line_is_left_out_with_a_warning_that_says_where(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.metrics(1, loss=1.0)
        first = journal.position()
        journal.metrics(2, loss=1.0)
        journal.metrics(3, loss=1.0)
    content = bytearray(journal.path.read_bytes())
    content[first : first + 4] = b"\0\0\0\0"
    journal.path.write_bytes(content)
    with pytest.warns(UserWarning, match=r"journal\.jsonl:2: unreadable"):
        assert [e.step for e in read(journal.path)] == [1, 3]


def test_a_resumed_cell_rewinds_to_its_checkpoint(tmp_path):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.metrics(1, loss=1.0)
        checkpoint = journal.position()
        journal.metrics(2, loss=2.0)
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.truncate(checkpoint)
        assert journal.position() == checkpoint
        journal.metrics(2, loss=20.0)
    assert [e.values["loss"] for e in read(journal.path)] == [1.0, 20.0]


@pytest.mark.parametrize("position", [-1, 5, 10_000])
def test_rewinding_to_where_no_line_ends_is_refused(tmp_path, position):
    with Journal(tmp_path / "journal.jsonl") as journal:
        journal.metrics(1, loss=1.0)
        with pytest.raises(StoreError, match="cannot rewind"):
            journal.truncate(position)
    assert len(read(journal.path)) == 1


def test_an_unknown_status_and_a_foreign_file_are_refused(tmp_path):
    with Journal(tmp_path / "cell" / "journal.jsonl") as journal:
        with pytest.raises(ValueError, match="allowed: running, done"):
            journal.status("finished")
        with pytest.raises(ValueError, match="outside the cell's folder"):
            journal.artifact("../elsewhere.txt")
    assert read(journal.path) == []


def test_a_full_disk_is_said_and_leaves_whole_lines_that_can_be_gone_on_from(tmp_path):
    path = tmp_path / "journal.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Journal(path) as journal:
        journal.metrics(1, loss=1.0)
        try:
            # In the middle of the next line: the system takes a part of it and refuses the rest.
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 20, hard))
            with pytest.raises(StoreError, match=r"cannot write .*journal\.jsonl: .*ulimit -f"):
                journal.metrics(2, loss=0.5)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes().endswith(b"\n") and len(read(path)) == 1
        journal.metrics(2, loss=0.5)
    assert [event.step for event in read(path)] == [1, 2]


def test_a_tail_lets_go_of_what_is_dealt_with_until_more_comes(tmp_path):
    path = tmp_path / "journal.jsonl"
    tail = Tail(path)
    tail.settle()
    assert tail.events() == [] and not tail.settled
    with Journal(path) as journal:
        journal.metrics(1, loss=1.0)
        assert len(tail.events()) == 1 and not tail.settled
        tail.settle()
        assert tail.settled
        journal.metrics(2, loss=0.5)
    assert not tail.settled and [event.step for event in tail.events()] == [1, 2]
    assert len(tail.events()) == 2
