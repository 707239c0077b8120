import errno
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from echo_teacher import IDENTITY, LIMIT, Echo, asked, draw_in_process, ignore, samples_of
from hypothesis import given, settings
from hypothesis import strategies as st

from qcrd.errors import StoreError
from qcrd.samples import shards as shard_files
from qcrd.samples.draw import draw
from qcrd.samples.store import FEW, SampleStore
from qcrd.types import Limit, Sample


@pytest.fixture
def store(tmp_path):
    return SampleStore(tmp_path, IDENTITY, LIMIT)


def stored(store, requests):
    found = store.load()
    return [found[r.key] for r in requests]


def answered(requests):
    return [sample for batch in Echo()(requests) for sample in batch]


def shards(store):
    return sorted(store.folder.glob("*.parquet"))


def test_the_commits_of_the_model_are_kept_in_their_order_each_once(store, tmp_path):
    assert store.commits == []
    for commit in ("b", "a", "b"):
        store.note_commit(commit)
    assert SampleStore(tmp_path, IDENTITY, LIMIT).commits == ["b", "a"]


def test_samples_come_back_as_they_were_drawn(store, tmp_path):
    requests, echo = asked(3, 2), Echo()
    assert draw(store, requests, echo, ignore, commit=4) == 0
    again = SampleStore(tmp_path, IDENTITY, LIMIT)
    assert stored(again, requests) == answered(requests)
    assert again.missing(requests) == [] == again.damaged


def test_who_only_looks_writes_nothing(store, tmp_path):
    assert store.load() == {} and len(store.missing(asked(2, 1))) == 2
    assert not list(tmp_path.iterdir())


def test_a_larger_m_draws_only_the_difference(store):
    draw(store, asked(4, 5), Echo(), ignore, commit=100)
    before, echo = store.load(), Echo()
    draw(store, asked(4, 20), echo, ignore, commit=100)
    assert len(echo.drawn) == 4 * 15
    assert all(store.load()[key] == sample for key, sample in before.items())


def test_a_teacher_is_not_called_when_nothing_is_missing(store):
    draw(store, asked(), Echo(), ignore, commit=2)
    echo = Echo()
    draw(store, asked(), echo, ignore, commit=2)
    assert echo.calls == 0


def test_questions_with_the_same_prompt_share_samples(store):
    first = asked(1, 2)
    twin = [type(r)(r.prompt_id, "twin", r.index, r.prompt, r.seed) for r in first]
    echo = Echo()
    draw(store, [*first, *twin], echo, ignore, commit=10)
    assert len(echo.drawn) == 2
    assert stored(store, first) == stored(store, twin)
    assert [s.text for s in stored(store, first)] == [s.text for s in answered(first)]


def test_progress_counts_what_was_there_already(store):
    draw(store, asked(2, 1), Echo(), ignore, commit=10)
    seen = []
    draw(store, asked(4, 1), Echo(size=1), lambda done, total, rate: seen.append((done, total)))
    assert seen == [(2, 4), (3, 4), (4, 4)]


@pytest.mark.parametrize("fault", ["cut", "empty", "flipped", "foreign"])
def test_a_damaged_shard_is_reported_put_aside_and_its_samples_drawn_again(store, caplog, fault):
    requests = asked(6, 1)
    draw(store, requests, Echo(), ignore, commit=2)
    good = stored(store, requests)
    victim = shards(store)[1]
    payload = bytearray(victim.read_bytes())
    if fault == "flipped":
        payload[len(payload) // 2] ^= 1
    victim.write_bytes({"cut": payload[:-9], "empty": b"", "foreign": b"hello"}.get(fault, payload))

    with caplog.at_level(logging.WARNING):
        assert len(store.load()) == 4
    assert store.damaged == [victim.with_name(victim.name + ".damaged")]
    assert store.damaged[0].exists() and victim.name in caplog.text

    echo = Echo()
    draw(store, requests, echo, ignore, commit=2)
    assert len(echo.drawn) == 2
    assert stored(store, requests) == good


def test_a_half_written_file_of_a_killed_job_is_no_shard_and_goes_with_the_next_draw(store):
    leftover = store.folder / ".abc.parquet.0.tmp"
    leftover.parent.mkdir()
    leftover.write_bytes(b"PAR1 half")
    assert store.load() == {}
    draw(store, asked(), Echo(), ignore, commit=2)
    assert not leftover.exists() and store.damaged == []


def test_a_torn_identity_is_written_again_and_a_foreign_one_refused(tmp_path):
    def drawn():
        store = SampleStore(tmp_path, IDENTITY, LIMIT)
        assert store.acquire()
        store.release()
        return store.folder / "identity.json"

    path = drawn()
    whole = path.read_text()
    path.write_text(whole[:5])
    drawn()
    assert path.read_text() == whole
    path.write_text('{"engine": "another"}')
    with pytest.raises(StoreError, match="another sampler"):
        SampleStore(tmp_path, IDENTITY, LIMIT)


def test_an_interrupt_keeps_every_chunk_before_it(store):
    class Interrupted(Echo):
        def answer(self, batch):
            if self.calls == 2:
                raise KeyboardInterrupt
            return super().answer(batch)

    requests = asked(10, 1)
    with pytest.raises(KeyboardInterrupt):
        draw(store, requests, Interrupted(size=3), ignore, commit=100)
    assert len(store.load()) == 6
    echo = Echo()
    draw(store, requests, echo, ignore, commit=3)
    assert len(echo.drawn) == 4


def test_answers_that_were_not_asked_for_are_refused(store):
    with pytest.raises(ValueError, match="not asked for"):
        draw(store, asked(2, 1), lambda batch: Echo()(asked(9, 1)), ignore, commit=10)
    assert store.load() == {}


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [2, 3])
def test_jobs_at_once_draw_each_sample_once(tmp_path, jobs):
    diary = tmp_path / "diary"
    spawn = multiprocessing.get_context("spawn")
    jobs = [spawn.Process(target=draw_in_process, args=(tmp_path / "s", diary, 0.02)) for _ in range(jobs)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    drawn = Counter(line.rsplit(" ", 1)[0] for line in diary.read_text().splitlines())
    assert len(drawn) == 40 and set(drawn.values()) == {1}
    assert len(SampleStore(tmp_path / "s", IDENTITY, LIMIT).load()) == 40


@pytest.mark.slow
def test_a_process_that_reads_a_store_ends_well(store, tmp_path):
    draw(store, asked(8, 1), Echo(), ignore, commit=1)
    code = "import sys; from qcrd.samples.store import SampleStore; from echo_teacher import IDENTITY, LIMIT"
    code += "\nassert len(SampleStore(sys.argv[1], IDENTITY, LIMIT).load()) == 8"
    for _ in range(8):
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=Path(__file__).parents[1])


@pytest.mark.slow
def test_a_job_killed_between_chunks_loses_at_most_one_and_leaves_no_lock(tmp_path):
    diary = tmp_path / "diary"
    spawn = multiprocessing.get_context("spawn")
    job = spawn.Process(target=draw_in_process, args=(tmp_path / "s", diary, 0.2))
    job.start()
    store = SampleStore(tmp_path / "s", IDENTITY, LIMIT)
    deadline = time.monotonic() + 30
    while len(shards(store)) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    os.kill(job.pid, signal.SIGKILL)
    job.join()
    kept, asked_for = len(store.load()), len(diary.read_text().splitlines())
    assert 8 <= kept < 40 and asked_for - kept <= 4
    echo = Echo()
    draw(store, asked(20, 2), echo, ignore, commit=4)
    assert len(echo.drawn) == 40 - kept
    assert store.damaged == []


def test_samples_of_one_shard_each_are_merged_and_read_the_same(store):
    requests = asked(2 * FEW, 1)
    draw(store, requests, Echo(size=1), ignore, commit=1)
    assert len(shards(store)) == 1
    assert stored(store, requests) == answered(requests)
    assert store.missing(requests) == [] == store.damaged


def test_shards_are_merged_up_to_a_bounded_size(store, monkeypatch):
    monkeypatch.setattr(shard_files, "LARGE", 12)
    requests = asked(10 * FEW, 1)
    draw(store, requests, Echo(), ignore, commit=4)  # shards of 4, and 6 would be large
    rows = [len(shard_files.read(shard)) for shard in shards(store)]
    assert max(rows) == 12 and sum(rows) == len(requests)
    before = shards(store)
    draw(store, [*requests, *asked(1, 2)], Echo(), ignore, commit=4)
    assert set(before) < set(shards(store))  # what is large is left alone


def test_a_crash_while_merging_leaves_doubles_that_read_the_same(store, monkeypatch):
    requests = asked(2 * FEW, 1)

    def killed(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "unlink", lambda path, **_: killed() if path.suffix == ".parquet" else None)
    with pytest.raises(KeyboardInterrupt):
        draw(store, requests, Echo(size=1), ignore, commit=1)
    monkeypatch.undo()
    assert len(shards(store)) == 2 * FEW + 1
    assert stored(store, requests) == answered(requests)
    draw(store, [*requests, *asked(1, 2)], Echo(), ignore)
    assert sum(len(shard_files.read(shard)) for shard in shards(store)) == len(requests) + 1


def test_a_damaged_shard_among_the_merged_costs_only_its_own_samples(store):
    requests = asked(FEW, 1)
    draw(store, requests, Echo(size=1), ignore, commit=1)
    shards(store)[3].write_bytes(b"hello")
    echo = Echo()
    draw(store, asked(FEW + 4, 1), echo, ignore, commit=1)
    assert len(echo.drawn) == 5 and len(store.damaged) == 1
    assert len(shards(store)) == 1 and len(store.load()) == FEW + 4


def test_a_reader_whose_shards_are_merged_meanwhile_misses_nothing(store):
    requests = asked(2 * FEW, 1)
    store.acquire()
    for request in requests:
        store.add(samples_of([request]))
    files = shard_files.shards(store.folder)
    seen = [shard_files.read(next(files))]
    store.compact()
    for shard in files:
        if shard.exists():
            seen.append(shard_files.read(shard))
    found = {key for table in seen for key in table["prompt_id"].to_pylist()}
    assert found == {r.prompt_id for r in requests}
    store.release()


def test_only_what_is_wanted_is_loaded(store):
    draw(store, asked(5, 3), Echo(), ignore)
    wanted = asked(2, 2)
    assert list(store.load(wanted)) == [r.key for r in wanted]


class Verbose(Echo):
    """Answer i of every question takes 8 i tokens, and is cut off by the limit."""

    def __init__(self, limit):
        super().__init__()
        self.limit = limit

    def answer(self, batch):
        super().answer(batch)
        return [self.cut(r) for r in batch]

    def cut(self, request):
        tokens = 8 * request.index
        reason = "stop" if tokens <= self.limit.max_tokens else "length"
        tokens = min(tokens, self.limit.max_tokens)
        return Sample(request.prompt_id, request.question_id, request.index, "x" * tokens, reason, tokens)


def test_a_raised_limit_redraws_what_was_cut_off_and_going_back_finds_the_old(tmp_path):
    requests = asked(2, 5)  # of 0, 8, ..., 32 tokens
    drawn = []
    for limit in (16, 24, 16, 40, 32, 24, 8):
        teacher = Verbose(Limit(limit))
        draw(SampleStore(tmp_path, IDENTITY, Limit(limit)), requests, teacher, ignore)
        drawn.append(len(teacher.drawn))
    assert drawn == [10, 4, 0, 2, 0, 0, 6]


def test_another_length_of_prompt_and_answer_together_redraws_what_was_cut_off(tmp_path):
    requests = asked(1, 5)
    drawn = []
    for max_len in (None, 512, None, 512):
        limit = Limit(16, max_len)
        teacher = Verbose(limit)
        draw(SampleStore(tmp_path, IDENTITY, limit), requests, teacher, ignore)
        drawn.append(len(teacher.drawn))
    assert drawn == [5, 2, 0, 0]


@pytest.mark.slow
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(1, 6), st.booleans()), min_size=1, max_size=6))
@settings(max_examples=40, deadline=None)
def test_under_any_history_of_limits_a_store_gives_what_would_be_drawn_anew(jobs):
    with TemporaryDirectory() as root:
        for max_tokens, m, merge in jobs:
            limit, requests = Limit(max_tokens), asked(2, m)
            store, teacher = SampleStore(root, IDENTITY, limit), Verbose(limit)
            draw(store, requests, teacher, ignore, commit=1)
            if merge:
                store.acquire()
                shard_files.merge(store.folder, lambda: None)
                store.release()
            found = store.load(requests)
            assert found == {r.key: teacher.cut(r) for r in requests}
            assert draw(store, requests, None, ignore) == 0  # and nothing is drawn twice


def test_which_of_two_versions_counts_does_not_depend_on_the_files(tmp_path):
    request = asked(1, 1)[0]
    for order in ("ab", "ba"):
        store = SampleStore(tmp_path / order, IDENTITY, LIMIT)
        store.acquire()
        for text in order:
            store.add([Sample(request.prompt_id, request.question_id, 0, text, "stop", 1)])
        assert stored(store, [request])[0].text == "a"
        shard_files.merge(store.folder, lambda: None)
        assert stored(store, [request])[0].text == "a"
        store.release()


def test_a_waiting_job_goes_on_as_soon_as_all_it_wants_is_there(tmp_path):
    holder, waiter = (SampleStore(tmp_path, IDENTITY, LIMIT) for _ in range(2))
    wanted, seen = asked(4, 1), []

    def watch(done, total, rate):
        seen.append(done)
        if done < 4:  # the holder draws another, and will go on with work of its own
            holder.add(samples_of([wanted[done]]))

    holder.acquire()
    holder.add(samples_of(wanted[:1]))
    assert draw(waiter, wanted, None, watch, look=0) == 0
    assert seen == [1, 2, 3, 4]
    holder.release()


def test_a_full_disk_is_said_and_costs_only_what_does_not_fit(store, monkeypatch):
    requests, write = asked(12, 1), Path.write_bytes

    def full(path, payload):
        if len(shards(store)) == 2:
            write(path, payload[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path, payload)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match="No space left on device"):
        draw(store, requests, Echo(), ignore, commit=4)
    assert len(store.load()) == 8 and store.damaged == []
    assert not list(store.folder.glob(".*.tmp"))
    monkeypatch.undo()
    echo = Echo()
    draw(store, requests, echo, ignore, commit=4)  # at once: the lease was given back
    assert len(echo.drawn) == 4
    assert stored(store, requests) == answered(requests)


def test_a_store_that_cannot_be_written_can_be_read(store):
    requests = asked(3, 1)
    draw(store, requests, Echo(), ignore)
    shutil.rmtree(store.folder / "lease")
    store.folder.chmod(0o500)
    try:
        assert draw(store, requests, None, ignore) == 0
    finally:
        store.folder.chmod(0o700)
    assert not (store.folder / "lease").exists()
