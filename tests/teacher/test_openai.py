import logging
import os
import signal
import threading
from types import SimpleNamespace

import pytest
from chat_servers import HANG, ChatServer, Reply, completion, failure, wait_until
from echo_teacher import IDENTITY, LIMIT, asked, ignore

from qcrd import config
from qcrd.errors import ConfigError, QcrdError
from qcrd.samples.draw import draw
from qcrd.samples.requests import Request
from qcrd.samples.store import SampleStore
from qcrd.teacher.openai import calls
from qcrd.teacher.openai.background import THREAD
from qcrd.teacher.openai.teacher import ServerTeacher
from qcrd.types import Prompt

KEY = "sk-very-secret-key"


@pytest.fixture(autouse=True)
def no_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


@pytest.fixture
def impatient(monkeypatch):
    """No waiting between attempts; collects for how long it would have been."""
    waits = []
    pause = calls.Calls._pause

    async def none(self, seconds):
        waits.append(seconds)
        await pause(self, 0)

    monkeypatch.setattr(calls.Calls, "_pause", none)
    return waits


def teacher(server, stop=(), model="tiny", max_tokens=50, **api):
    settings = config.Teacher(engine="openai", model=model, base_url=server.url, max_tokens=max_tokens)
    return ServerTeacher(settings, stop, config.Api(**{"timeout": 20.0} | api))


def answers(server, requests, **settings):
    with teacher(server, **settings) as sample:
        return [s for batch in sample(requests) for s in batch]


def error_of(server, requests=None, kind=QcrdError, **settings):
    with pytest.raises(kind) as caught:
        answers(server, requests or asked(1, 1), **settings)
    return str(caught.value)


def always(reply):
    return ChatServer(lambda body, attempt: reply)


def test_a_request_is_sent_as_messages_with_its_own_seed_and_the_settings():
    prompt = Prompt("2 + 2?", system="Add.", examples=(("1 + 1?", "It is 2."),))
    request = Request("p", "q", 3, prompt, seed=2**48 - 1)
    with always(completion()) as server:
        answers(server, [request], stop=["Q:"])
        answers(server, [request])
    assert server.calls[0] == {
        "model": "tiny",
        "messages": [
            {"role": "system", "content": "Add."},
            {"role": "user", "content": "1 + 1?"},
            {"role": "assistant", "content": "It is 2."},
            {"role": "user", "content": "2 + 2?"},
        ],
        "temperature": 0.7,
        "top_p": 1.0,
        "max_tokens": 50,
        "seed": 2**48 - 1,
        "stop": ["Q:"],
    }
    assert "stop" not in server.calls[1]


def test_each_request_gets_its_answer():
    requests = asked(10, 3)
    with ChatServer(lambda body, _: completion(f"seed {body['seed']}")) as server:
        found = answers(server, requests)
    assert {(s.prompt_id, s.index): s.text for s in found} == {r.key: f"seed {r.seed}" for r in requests}
    assert {s.question_id for s in found} == {r.question_id for r in requests}
    assert len(server.calls) == 30


def stored_by(tmp_path, server, requests, **settings):
    """The samples that a draw leaves in the store."""
    store = SampleStore(tmp_path, IDENTITY, LIMIT)
    with teacher(server, max_tokens=LIMIT.max_tokens, **settings) as sample:
        assert draw(store, requests, sample, ignore) == 0
    return list(store.load(requests).values()), sample.spent


@pytest.mark.parametrize(
    ("reply", "text", "reason", "refused"),
    [
        (completion("cut", "length", 50), "cut", "length", 0),
        (completion("cut", "model_length", 9), "cut", "length", 0),  # Mistral
        (completion("cut", "MAX_TOKENS", 50), "cut", "length", 0),  # Gemini
        (completion("cut", "incomplete", 50), "cut", "length", 0),
        (completion(None, "length", 50), "", "length", 0),  # a model that was still thinking
        (completion("done", "eos"), "done", "stop", 0),
        (completion("done", {"type": "stop"}), "done", "stop", 0),
        (completion("done", None), "done", "stop", 0),
        (completion("cut", None, 256), "cut", "length", 0),  # of 256
        (
            completion("a call", "tool_calls"),
            "a call",
            "length",
            0,
        ),  # whatever it is, the answer is not whole
        (completion("half of", "content_filter"), "", "stop", 1),
        (completion("half of", "content_filter: RECITATION"), "", "stop", 1),
        (completion("half of", "SAFETY"), "", "stop", 1),
        (completion(None, refusal="I would rather not."), "", "stop", 1),
        (failure(400, "filtered", code="content_filter"), "", "stop", 1),
    ],
)
def test_cut_off_and_refused_answers_are_samples_too(tmp_path, reply, text, reason, refused):
    with always(reply) as server:
        [found], spent = stored_by(tmp_path, server, asked(1, 1))
        assert (found.text, found.finish_reason, spent.refused) == (text, reason, refused)
    assert len(server.calls) == 1


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (rb'{"choices": [{"message": {"content": "a \ud83d b"}, "finish_reason": "stop"}]}', "a \ufffd b"),
        (
            rb'{"choices": [{"message": {"content": "a \ud83d\ude00"}, "finish_reason": "stop"}]}',
            "a \U0001f600",
        ),
        (b'{"choices": [{"message": {"content": "caf\xc3"}, "finish_reason": "stop"}]}', "caf\ufffd"),
    ],
)
def test_half_a_character_is_replaced_and_costs_neither_the_answer_nor_a_call(tmp_path, caplog, body, text):
    with always(Reply(body=body)) as server:
        [found], _ = stored_by(tmp_path, server, asked(1, 1))
    assert found.text == text and len(server.calls) == 1
    assert ("1 answers hold a cut or broken character" in caplog.text) == ("\ufffd" in text)


@pytest.mark.parametrize(
    "refusal",
    [
        "System role not supported",  # Gemma's template
        "Conversation roles must alternate user/assistant/user/assistant/...",  # Mistral's
        "Developer instruction is not enabled for models/gemma-3-27b-it",
    ],
)
def test_a_server_without_a_system_role_is_asked_with_the_instructions_in_the_first_user_message(
    caplog, refusal
):
    prompt = Prompt("2 + 2?", system="Add.", examples=(("1 + 1?", "It is 2."),))
    requests = [Request("p", "q", i, prompt, seed=i) for i in range(3)]

    def answer(body, attempt):
        return failure(400, refusal) if body["messages"][0]["role"] == "system" else completion()

    with ChatServer(answer) as server, teacher(server, concurrency=1) as sample:
        assert len(list(sample(requests))) == 3
        assert sample.spent.calls == len(server.calls) == 4
    assert server.calls[-1]["messages"] == [
        {"role": "user", "content": "Add.\n\n1 + 1?"},
        {"role": "assistant", "content": "It is 2."},
        {"role": "user", "content": "2 + 2?"},
    ]
    assert caplog.text.count("tiny has no system role") == 1


def test_a_refusal_that_the_system_role_did_not_cause_is_said_as_it_is():
    prompt = Prompt("2 + 2?", system="Add.")
    with always(failure(400, "the system prompt is too long")) as server:
        assert "the system prompt is too long" in error_of(server, [Request("p", "q", 0, prompt, seed=1)])
    assert len(server.calls) == 2


def test_tokens_are_those_that_the_server_counts_or_about_so_many_where_it_does_not():
    bare = Reply(body=b'{"choices": [{"message": {"content": "four words of text"}}]}')
    null = completion("four words of text", tokens=None)
    for reply, tokens in ((completion(tokens=7), 7), (bare, 5), (null, 5)):
        with always(reply) as server, teacher(server) as sample:
            [[found]] = sample(asked(1, 1))
            assert found.tokens == sample.spent.answer_tokens == tokens
            assert sample.spent.prompt_tokens > 0


def test_the_price_is_told_before_and_after(impatient):
    requests = asked(20, 5)
    with ChatServer(lambda _, n: completion() if n > 1 else failure(503)) as server:
        with teacher(server, input_price=1.0, output_price=200.0, max_tokens=1000) as sample:
            said = "100 calls, about 300 prompt and at most 100,000 answer tokens, at most about $20.00"
            assert sample.estimate(requests) == said
            assert len(list(sample(requests))) == 100
            assert sample.cost() == pytest.approx((1000 * 1 + 300 * 200) / 1e6)
            said = "200 calls (100 of them retries), 1,000 prompt and 300 answer tokens, $0.06"
            assert sample.summary() == said
        assert teacher(server).cost() is None and "$" not in teacher(server).estimate(requests)


@pytest.mark.parametrize(
    "fault",
    [
        failure(429),
        failure(500),
        Reply(503, b"<html>"),
        Reply(200, b"{"),
        Reply(200, b'{"choices": []}'),
        Reply(200, b"\xff\xfe"),
        completion("lost", "abort"),
        failure(200, "overloaded"),
        Reply(200, b"{" * 99, fault="drop"),
    ],
)
def test_what_may_pass_is_asked_again_with_the_same_seed(fault, impatient):
    requests = asked(3, 2)
    with ChatServer(lambda _, attempt: fault if attempt < 3 else completion()) as server:
        assert len(answers(server, requests)) == 6
    assert server.asked() == {r.seed: 3 for r in requests}


@pytest.mark.parametrize("reply", [HANG, Reply(body=b" " * 10_000, fault="drip")])
def test_a_server_that_hangs_or_drips_is_cut_off(reply, impatient):
    with ChatServer(lambda _, attempt: reply if attempt == 1 else completion()) as server:
        assert len(answers(server, asked(1, 1), timeout=0.4)) == 1
    assert len(server.calls) == 2


def test_the_wait_that_the_server_asks_for_is_kept_and_else_grows(impatient):
    replies = {
        1: failure(429, headers={"retry-after": "7"}),
        2: failure(429, headers={"retry-after-ms": "50"}),
    }
    with ChatServer(lambda _, attempt: replies.get(attempt, completion())) as server:
        answers(server, asked(1, 1))
    waits = [wait for wait in impatient if wait > 0]
    assert 7 <= waits[0] < 8 and 0.05 <= waits[1] < 1.05
    impatient.clear()
    with ChatServer(lambda _, attempt: failure(500) if attempt < 9 else completion()) as server:
        answers(server, asked(1, 1))
    waits = [wait for wait in impatient if wait > 0]
    assert len(waits) == 8 and all(wait <= 2**i for i, wait in enumerate(waits)) and max(waits) > 1


def test_calls_are_begun_no_faster_than_allowed(monkeypatch, impatient):
    monkeypatch.setattr(calls, "time", SimpleNamespace(monotonic=lambda: 5.0))
    with always(completion()) as server:
        answers(server, asked(6, 1), requests_per_minute=120, concurrency=2)
    assert impatient == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]


def test_as_many_calls_are_under_way_as_allowed_and_no_more():
    together = threading.Barrier(3)

    def answer(body, attempt):
        together.wait(30)
        return completion()

    with ChatServer(answer) as server:
        assert len(answers(server, asked(6, 2), concurrency=3)) == 12
    assert server.busiest == 3


def test_a_finished_answer_waits_for_no_slow_one():
    requests, release = asked(4, 1), threading.Event()

    def answer(body, attempt):
        if body["seed"] == requests[0].seed:
            assert release.wait(30)
        return completion()

    with ChatServer(answer) as server, teacher(server) as sample:
        found = sample(requests)
        quick = [next(found)[0] for _ in range(3)]
        release.set()
        assert [s.question_id for s in next(found)] == [requests[0].question_id]
    assert {s.question_id for s in quick} == {r.question_id for r in requests[1:]}


def test_after_an_error_that_no_repetition_mends_nothing_is_begun_and_what_is_under_way_arrives():
    requests, refused = asked(40, 1), threading.Event()

    def answer(body, attempt):
        if body["seed"] == requests[1].seed:
            refused.set()
            return failure(400, "your prompt has 9999 tokens")
        assert refused.wait(30)
        return completion()

    found = []
    with ChatServer(answer) as server, teacher(server, concurrency=4) as sample:
        said = r"9999(.|\n)*teacher\.max_tokens \(now 50\)"
        with pytest.raises(ConfigError, match=said) as caught:
            for batch in sample(requests):
                found += batch
    assert len(found) == len(server.calls) - 1
    assert 3 <= len(found) < 39
    assert f"{len(found)} of 40 answers were received and stored" in str(caught.value)
    assert sample.spent.calls == len(server.calls)


def test_when_all_repetitions_failed_the_same_command_goes_on_from_there(tmp_path, impatient):
    requests = asked(6, 1)
    store, sick = SampleStore(tmp_path, IDENTITY, LIMIT), {requests[-1].seed}

    def answer(body, attempt):
        return failure(502, "bad gateway") if body["seed"] in sick else completion()

    with ChatServer(answer) as server:
        with teacher(server, retries=2, concurrency=1) as sample, pytest.raises(QcrdError) as caught:
            draw(store, requests, sample, ignore)
        assert "failed 3 times at one call" in str(caught.value) and "bad gateway" in str(caught.value)
        assert "5 of 6 answers were received and stored; run the same command" in str(caught.value)
        assert len(store.missing(requests)) == 1
        sick.clear()
        with teacher(server) as sample:
            draw(store, requests, sample, ignore)
    assert store.missing(requests) == []
    assert server.asked() == {r.seed: 1 for r in requests[:-1]} | {requests[-1].seed: 4}


def test_a_server_that_is_not_there_is_an_error_with_its_address(impatient):
    with always(completion()) as gone:
        pass
    assert "no connection" in (said := error_of(gone, retries=1)) and gone.url in said


def test_an_account_without_quota_is_not_asked_again():
    for reply in (failure(429, "You exceeded", code="insufficient_quota"), failure(402, "pay")):
        with always(reply) as server:
            assert "top it up" in error_of(server)
        assert len(server.calls) == 1


def test_a_server_that_asks_for_more_than_a_pause_is_left_alone():
    with always(failure(429, "daily limit", headers={"retry-after": "7200"})) as server:
        assert "asks to wait 7200 s" in error_of(server)
    assert len(server.calls) == 1


def test_a_model_that_the_server_lacks_is_named_with_those_it_has():
    with ChatServer(lambda *_: failure(404, "no such model"), models=("b", "a")) as server:
        assert "'tiny', which the server at" in (said := error_of(server, kind=ConfigError))
        assert "allowed: a, b" in said
    with ChatServer(lambda *_: Reply(404, b"not found")) as server:
        assert "teacher.base_url" in error_of(server, kind=ConfigError)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_accepted_or_not_there_is_said_with_its_variable(monkeypatch, status):
    with always(failure(status, "Incorrect API key provided: sk-ve***")) as server:
        said = error_of(server, kind=ConfigError)
        assert (
            "wants a key, and OPENAI_API_KEY is not set" in said and "Authorization" not in server.headers[0]
        )
        monkeypatch.setenv("LAB_KEY", KEY)
        said = error_of(server, kind=ConfigError, key="LAB_KEY")
        assert "does not accept the key in LAB_KEY" in said and "sk-ve" not in said
    assert server.headers[1]["Authorization"] == f"Bearer {KEY}" and len(server.calls) == 2


def test_the_key_is_in_no_error_and_no_log(monkeypatch, caplog, impatient):
    monkeypatch.setenv("OPENAI_API_KEY", f" {KEY}\n")
    monkeypatch.setattr(calls, "LOG_INTERVAL", 0.0)
    with caplog.at_level(logging.DEBUG):
        for status in (400, 418, 500):
            with always(failure(status, f"Bearer {KEY} did this")) as server:
                said = error_of(server, retries=1)
                assert "Bearer *** did this" in said and KEY not in said
            assert server.headers[0]["Authorization"] == f"Bearer {KEY}"
    assert "calls retried" in caplog.text and KEY not in caplog.text


def test_settings_that_cannot_work_are_refused_before_anything_is_asked(monkeypatch):
    def made(**settings):
        return ServerTeacher(config.Teacher(engine="openai", model="m", **settings), (), config.Api())

    with pytest.raises(ConfigError, match="names OPENAI_API_KEY, which is not set"):
        made()
    for url in ("127.0.0.1:8000/v1", "ftp://a/v1", "http://"):
        with pytest.raises(ConfigError, match=r"teacher\.base_url"):
            made(base_url=url)
    with pytest.raises(ConfigError, match="holds a name or password") as caught:
        made(base_url="http://me:pass1234@127.0.0.1/v1")
    assert "pass1234" not in str(caught.value)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-a\nb")
    with pytest.raises(ConfigError, match="characters that no key has") as caught:
        made()
    assert "sk-a" not in str(caught.value)


def test_closing_cancels_what_is_under_way():
    def running():
        return [thread for thread in threading.enumerate() if thread.name == THREAD]

    requests = asked(20, 1)
    first = requests[0].seed
    with ChatServer(lambda body, _: completion() if body["seed"] == first else HANG) as server:
        with teacher(server, concurrency=4) as sample:
            next(found := sample(requests))
            wait_until(lambda: len(server.calls) == 5)
            assert running()
            found.close()
            assert not running()
        with pytest.raises(LookupError), teacher(server, concurrency=4) as sample:
            for _ in sample(requests):
                raise LookupError
        assert not running()


@pytest.fixture
def interruptible():
    """As in a shell: what is started in the background of a script ignores SIGINT."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_ends_it_at_once_and_what_came_is_stored(interruptible, tmp_path):
    requests, store = asked(6, 1), SampleStore(tmp_path, IDENTITY, LIMIT)

    def answer(body, attempt):
        if body["seed"] != requests[-1].seed:
            return completion()
        wait_until(lambda: len(seen) == 6)
        os.kill(os.getpid(), signal.SIGINT)
        return HANG

    seen = []
    with ChatServer(answer) as server, pytest.raises(KeyboardInterrupt), teacher(server) as sample:
        draw(store, requests, sample, lambda *at: seen.append(at))
    assert [r.question_id for r in store.missing(requests)] == [requests[-1].question_id]
