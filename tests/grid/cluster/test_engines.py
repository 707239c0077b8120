"""Engines in real Ray actors: fed, killed, replaced, and gone at the end."""

import contextlib
import os
import signal
import time
from functools import partial

import psutil
import pytest
import ray
from light_engine import light
from small import small_student

from qcrd.errors import ConfigError, QcrdError
from qcrd.grid.cluster import engines as module
from qcrd.grid.cluster.engines import Engines
from qcrd.samples.requests import requests
from qcrd.tasks.arithmetic import generate
from qcrd.teacher.seq2seq import Seq2SeqSampler
from qcrd.types import Prompt


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher")
    small_student().save(path)
    return path


@pytest.fixture(scope="module")
def asked():
    return requests(generate(seed=1, n=24), lambda q: Prompt(q.text), 4, 0)


@pytest.fixture(autouse=True)
def small_steps(monkeypatch):
    """An engine holds few requests and hands over often, so that there is a middle to die in."""
    monkeypatch.setattr(module, "MAX_OPEN", 16)
    monkeypatch.setattr(module, "REFILL_BELOW", 8)
    monkeypatch.setattr(module, "TAKE_SECONDS", 0.05)


def engines(said, load=None, count=1, restarts=3, limit=60.0):
    return Engines(load or light(), {"num_cpus": 1}, count, restarts, limit, said.append)


def spoil(worker, how) -> None:
    """Let an engine do something before each answer."""

    def change(engine):
        take = engine.sampler.take

        def spoilt(seconds):
            how()
            return take(seconds)

        engine.sampler.take = spoilt

    ray.get(worker.actor.__ray_call__.remote(change))


def process(worker) -> int:
    return ray.get(worker.actor.__ray_call__.remote(lambda self: os.getpid()))


def test_two_engines_give_the_samples_of_one_each_once(local_ray, folder, asked):
    alone = [s for batch in Seq2SeqSampler(str(folder), max_tokens=8)(asked) for s in batch]
    with engines([], partial(Seq2SeqSampler, str(folder), max_tokens=8), 2) as sample:
        found = [s for batch in sample(asked) for s in batch]
        assert sorted(found, key=str) == sorted(alone, key=str)
        again = [s for batch in sample(asked[:3]) for s in batch]  # the same engines, for another task
        assert {(s.prompt_id, s.index) for s in again} == {r.key for r in asked[:3]}


def test_a_killed_engine_is_replaced_and_only_what_it_had_not_handed_over_is_asked_again(local_ray, asked):
    said, got, killed = [], [], []
    with engines(said) as sample:
        for batch in sample(asked):
            got += batch
            if not killed and len(got) > 30:
                killed.append(process(sample.workers[0]))
                os.kill(killed[-1], signal.SIGKILL)
        last = process(sample.workers[0])
    assert sorted((s.prompt_id, s.index) for s in got) == sorted(r.key for r in asked)
    assert ["its process ended" in line for line in said] == [True] and killed != [last]
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(last).wait(20)


def test_engines_that_keep_dying_are_given_up_with_the_reason(local_ray, asked):
    said = []
    with (
        engines(said, restarts=0) as sample,
        pytest.raises(QcrdError, match=r"died .times: 1.*\n.*run the same command to continue"),
    ):
        answered = sample(asked)
        next(answered)
        os.kill(process(sample.workers[0]), signal.SIGKILL)
        list(answered)
    assert said == []


def test_what_a_user_can_mend_is_raised_as_it_is(local_ray, asked):
    def load():
        raise ConfigError("teacher.model: no such folder")

    with (
        engines([], load, restarts=0) as sample,
        pytest.raises(ConfigError, match=r"teacher.model"),
    ):
        list(sample(asked))


def hanging():
    def hang():
        time.sleep(600)

    return hang


def dead():
    def break_down():
        raise RuntimeError("EngineDeadError: encountered an issue")

    return break_down


def test_engines_that_hang_or_are_dead_in_a_living_process_are_replaced_and_slow_ones_are_not(
    local_ray, asked
):
    said = []

    def say(line):
        said.append(line)
        sample.timeout = 60.0  # a replacement has time to start

    with Engines(light(), {"num_cpus": 1}, 2, 3, 60.0, say) as sample:
        sample.ready()
        broken, slow = sample.workers
        spoil(broken, hanging())
        spoil(slow, partial(time.sleep, 0.5))
        sample.timeout = 4.0
        got = [s for batch in sample(asked) for s in batch]
        assert slow in sample.workers and broken not in sample.workers
        assert sorted((s.prompt_id, s.index) for s in got) == sorted(r.key for r in asked)
        spoil(slow, dead())
        got = [s for batch in sample(asked) for s in batch]
        assert slow not in sample.workers
        assert sorted((s.prompt_id, s.index) for s in got) == sorted(r.key for r in asked)
    assert len(said) == 2 and "no response for 4 s" in said[0] and "EngineDeadError" in said[1]
