import logging
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from echo_teacher import IDENTITY, LIMIT, Echo, asked, draw_in_process, ignore

from qcrd.errors import StoreError
from qcrd.teacher.draw import draw
from qcrd.teacher.store import SampleStore


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


def test_samples_come_back_as_they_were_drawn(store, tmp_path):
    requests, echo = asked(3, 2), Echo()
    assert draw(store, requests, echo, ignore, commit=4) == 0
    again = SampleStore(tmp_path, IDENTITY, LIMIT)
    assert stored(again, requests) == answered(requests)
    assert again.missing(requests) == [] == again.damaged


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
    leftover.write_bytes(b"PAR1 half")
    assert store.load() == {}
    draw(store, asked(), Echo(), ignore, commit=2)
    assert not leftover.exists() and store.damaged == []


def test_a_torn_identity_is_written_again_and_a_foreign_one_refused(tmp_path):
    path = SampleStore(tmp_path, IDENTITY, LIMIT).folder / "identity.json"
    whole = path.read_text()
    path.write_text(whole[:5])
    SampleStore(tmp_path, IDENTITY, LIMIT)
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


def test_two_jobs_at_once_draw_each_sample_once(tmp_path):
    diary = tmp_path / "diary"
    spawn = multiprocessing.get_context("spawn")
    jobs = [spawn.Process(target=draw_in_process, args=(tmp_path / "s", diary, 0.02)) for _ in range(2)]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        assert job.exitcode == 0
    drawn = Counter(line.rsplit(" ", 1)[0] for line in diary.read_text().splitlines())
    assert len(drawn) == 40 and set(drawn.values()) == {1}
    assert len(SampleStore(tmp_path / "s", IDENTITY, LIMIT).load()) == 40


def test_a_process_that_reads_a_store_ends_well(store, tmp_path):
    draw(store, asked(8, 1), Echo(), ignore, commit=1)
    code = "import sys; from qcrd.teacher.store import SampleStore; from echo_teacher import IDENTITY, LIMIT"
    code += "\nassert len(SampleStore(sys.argv[1], IDENTITY, LIMIT).load()) == 8"
    for _ in range(8):
        subprocess.run([sys.executable, "-c", code, tmp_path], check=True, cwd=Path(__file__).parent)


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
