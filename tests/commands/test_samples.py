"""`qcrd samples` as it is typed."""

import json

import pytest
from echo_teacher import IDENTITY, LIMIT, Echo, asked, ignore, samples_of
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.errors import StoreError
from qcrd.samples.draw import draw
from qcrd.samples.store import SampleStore
from qcrd.teacher.recorded import RecordedTeacher
from qcrd.types import Limit, Sample


def claimed(store):
    """A sampler whose drawing began and brought nothing."""
    assert store.acquire()
    store.release()


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv("QCRD_HOME", str(tmp_path))
    store = SampleStore(tmp_path / "samples", IDENTITY, LIMIT)
    draw(store, asked(3, 2), Echo(), ignore, commit=4)
    return store


def qcrd(*arguments):
    return CliRunner().invoke(app, ["samples", *map(str, arguments)], catch_exceptions=False)


def shards(store):
    return sorted(store.folder.glob("*.parquet"))


def test_an_answer_cannot_command_the_terminal(store):
    store.acquire()
    store.add([Sample("p", "q-7", 0, "\x1b]0;mine\x07", "stop", 1)], {"p": "how?\x1b[2J"})
    store.release()
    shown = qcrd("show", store.folder.name, "q-7").stdout
    assert "\\x1b]0;mine\\x07" in shown and "how?\\x1b[2J" in shown and "\x1b" not in shown


def test_ls_sums_up_every_sampler(store, tmp_path):
    claimed(SampleStore(tmp_path / "samples", {"engine": "recorded", "answers": "f00"}, LIMIT))
    found = {s["id"]: s for s in json.loads(qcrd("ls", "--json").stdout)}
    ours = found[store.folder.name]
    assert (ours["engine"], ours["temperature"]) == ("echo", 0.7)
    assert [ours[k] for k in ("questions", "samples", "cut_off", "shards", "damaged")] == [3, 6, 0, 2, 0]
    assert ours["bytes"] == sum(s.stat().st_size for s in shards(store))
    assert len(found) == 2
    text = qcrd("ls").stdout
    assert all(name in text for name in found) and "f00" in text and "last written" in text


def test_ls_of_an_empty_home_says_how_to_fill_it(tmp_path, monkeypatch):
    monkeypatch.setenv("QCRD_HOME", str(tmp_path))
    assert "qcrd sample GRID" in qcrd("ls").stdout
    assert json.loads(qcrd("ls", "--json").stdout) == []


def test_ls_counts_a_sample_once_whatever_the_limits_it_was_drawn_under(tmp_path, monkeypatch):
    monkeypatch.setenv("QCRD_HOME", str(tmp_path))
    first, second = asked(2, 1)
    for limit, finish in ((8, "length"), (16, "stop")):
        store = SampleStore(tmp_path / "samples", IDENTITY, Limit(limit))
        store.acquire()
        store.add([Sample(first.prompt_id, "q-0", 0, "x", finish, 8)])
        if limit == 8:
            store.add([Sample(second.prompt_id, "q-1", 0, "y", finish, 8)])
        store.release()
    (found,) = json.loads(qcrd("ls", "--json").stdout)
    assert (found["samples"], found["cut_off"]) == (2, 1)


def test_show_prints_prompt_and_answers_raw(store):
    request = asked(3, 2)[2]
    for id in (request.question_id, request.prompt_id):
        text = qcrd("show", store.folder.name[:4], id).stdout
        assert request.prompt.text in text and "how many 2" not in text
        assert all(sample.text in text for sample in samples_of(asked(3, 2)[2:4]))
    assert qcrd("show", store.folder.name, "--n", 2).stdout.count("=== question") == 2


def test_an_unknown_sampler_or_question_is_said_with_what_there_is(store):
    with pytest.raises(StoreError, match=f"there is none.*{store.folder.name}"):
        qcrd("show", "zzz")
    with pytest.raises(StoreError, match="no question or prompt 'q-9'"):
        qcrd("show", store.folder.name, "q-9")


def test_a_prefix_of_several_samplers_is_refused(store, tmp_path):
    claimed(SampleStore(tmp_path / "samples", {"engine": "other"}, LIMIT))
    with pytest.raises(StoreError, match="several begin so"):
        qcrd("show", "")


def test_what_is_exported_reads_back_as_recorded_answers(store, tmp_path):
    out = tmp_path / "deep" / "answers.jsonl"
    assert qcrd("export", store.folder.name, "--out", out).exit_code == 0
    requests = asked(3, 2)
    (back,) = RecordedTeacher(str(out))(requests)
    assert [s.text for s in back] == [s.text for s in samples_of(requests)]
    line = json.loads(out.read_text().splitlines()[0])
    assert line["prompt"] == requests[0].prompt.text and line["finish_reasons"] == ["stop", "stop"]
    assert qcrd("export", store.folder.name).stdout == out.read_text()


def test_a_cut_answer_stays_cut_through_export_and_reading_again(store, tmp_path):
    requests = asked(3, 3)
    cut = [r for r in requests if r.index == 2]
    store.acquire()
    store.add(
        [Sample(r.prompt_id, r.question_id, 2, "The answer is 1", "length", 256) for r in cut],
        {r.prompt_id: r.prompt.text for r in cut},
    )
    store.release()
    out = tmp_path / "answers.jsonl"
    qcrd("export", store.folder.name, "--out", out)
    (back,) = RecordedTeacher(str(out))(requests)
    assert {(s.finish_reason, s.tokens) for s in back if s.index == 2} == {("length", 256)}
    again = SampleStore(tmp_path / "samples", {"engine": "recorded"}, LIMIT)
    draw(again, requests, RecordedTeacher(str(out)), ignore)
    first, second = (store.load(requests), again.load(requests))
    assert len(first) == 9 and first == second
    assert qcrd("export", again.folder.name).stdout == out.read_text()


def test_questions_with_several_prompts_are_exported_with_a_warning(store):
    store.acquire()
    store.add([Sample("another", "q-0", 0, "x", "stop", 1)], {"another": "how?"})
    store.release()
    result = qcrd("export", store.folder.name)
    assert len(result.stdout.splitlines()) == 4
    assert "1 lines are of questions that were asked with several prompts" in result.stderr


def test_an_export_with_gaps_is_refused(store):
    store.acquire()
    store.add([Sample("p", "q-7", 3, "x", "stop", 1)])
    store.release()
    with pytest.raises(StoreError, match="q-7 has the answers 3"):
        qcrd("export", store.folder.name)


def test_verify_names_what_is_damaged_and_changes_nothing(store):
    assert qcrd("verify").exit_code == 0
    victim = shards(store)[0]
    victim.write_bytes(victim.read_bytes()[:-1])
    for arguments in ([], [store.folder.name[:6]]):
        result = qcrd("verify", *arguments)
        assert result.exit_code == 1
        assert f"{victim}: its checksum does not match" in result.stdout
        assert "that needs their samples draws them again" in result.stdout
    assert victim.exists()


def test_verify_sees_an_edited_and_a_torn_identity(store):
    identity = store.folder / "identity.json"
    identity.write_text('{"engine": "another"}')
    assert "describes sampler" in qcrd("verify").stdout
    identity.write_text('{"eng')
    result = qcrd("verify")
    assert result.exit_code == 1 and "torn" in result.stdout


def test_gc_says_what_it_would_do_and_does_it_when_told(store):
    leftover = store.folder / ".abc.parquet.1.tmp"
    leftover.write_bytes(b"PAR1")
    shards(store)[0].write_bytes(b"hello")
    kept = store.load()
    rubbish = [leftover, *store.damaged]
    draw(store, asked(5, 2), Echo(), ignore, commit=2)
    leftover.write_bytes(b"PAR1")
    before = shards(store)

    said = qcrd("gc").stdout
    assert all(str(file) in said for file in rubbish) and "nothing was changed" in said
    assert all(file.exists() for file in rubbish) and shards(store) == before

    assert "2 files deleted" in qcrd("gc", "--yes").stdout
    assert not any(file.exists() for file in rubbish)
    assert len(shards(store)) == 1 < len(before)
    found = store.load()
    assert len(found) == 10 and kept.items() <= found.items()


def test_gc_leaves_alone_what_a_job_writes_to(store):
    (store.folder / ".abc.parquet.1.tmp").write_bytes(b"PAR1")
    store.acquire()
    (store.folder / ".live.parquet.1.tmp").write_bytes(b"PAR1")
    assert "skipped, in use by process" in qcrd("gc", "--yes").stdout
    assert (store.folder / ".live.parquet.1.tmp").exists()
    with pytest.raises(StoreError, match="is in use by process"):
        qcrd("gc", "--sampler", store.folder.name, "--yes")
    assert len(store.load()) == 6
    store.release()


def test_gc_removes_a_whole_sampler_only_when_told(store):
    said = qcrd("gc", "--sampler", store.folder.name[:5]).stdout
    assert "would delete" in said and "6 samples to 3 questions" in said
    assert len(store.load()) == 6
    qcrd("gc", "--sampler", store.folder.name[:5], "--yes")
    assert list(store.folder.parent.iterdir()) == []
    echo = Echo()
    draw(store, asked(3, 2), echo, ignore)  # a job that was waiting makes the folder anew
    assert len(echo.drawn) == 6 and (store.folder / "identity.json").exists()


@pytest.mark.parametrize("command", ["ls", "show", "export", "verify", "gc"])
def test_every_command_has_examples(command):
    _, _, examples = qcrd(command, "--help").stdout.partition("Examples:")
    assert examples.count(f"qcrd samples {command}") >= 2
