"""A real OpenAI-compatible server: vLLM's own, on loopback, with a tiny embedded teacher."""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from chat_servers import Proxy, wait_until
from chat_templates import NO_SYSTEM_ROLE, instructed
from echo_teacher import IDENTITY
from tiny_teacher import TINY, ignore
from vllm_answers import ASKED, LIMIT, STOP

from qcrd import config
from qcrd.errors import ConfigError
from qcrd.samples.draw import draw
from qcrd.samples.store import SampleStore
from qcrd.teacher.chat import NO_SYSTEM
from qcrd.teacher.embedded import ensure_embedded_teacher
from qcrd.teacher.openai.teacher import ServerTeacher
from qcrd.types import Limit, Sample

pytestmark = pytest.mark.slow

ENVIRONMENT = {
    **os.environ,
    "OMP_NUM_THREADS": "1",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # one process, and up in half the time
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_NO_USAGE_STATS": "1",
}
SERVE = (
    "--served-model-name tiny --host 127.0.0.1 --dtype float32 --load-format safetensors --enforce-eager "
    "--no-enable-chunked-prefill --max-num-batched-tokens 8192 --generation-config vllm"
)


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """Address of the server, and what an engine without one answers to the same requests."""
    root = tmp_path_factory.mktemp("server")
    folder = root / "chatty"
    shutil.copytree(ensure_embedded_teacher(root, TINY, ignore), folder)
    (folder / "chat_template.jinja").write_text(NO_SYSTEM_ROLE)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)]
    found, log = root / "found.json", root / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            [*command, "--port", str(port), *SERVE.split()], env=ENVIRONMENT, stdout=output, stderr=output
        )
    try:
        script = Path(__file__).with_name("vllm_answers.py")
        subprocess.run([sys.executable, script, folder, found], env=ENVIRONMENT, check=True)

        def up():
            assert server.poll() is None, log.read_text()[-3000:]
            try:
                return httpx2.get(f"http://127.0.0.1:{port}/health", trust_env=False).status_code == 200
            except httpx2.TransportError:
                return False

        wait_until(up, 180)
        yield f"http://127.0.0.1:{port}/v1", [Sample(**s) for s in json.loads(found.read_text())]
    finally:
        server.terminate()
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()


def teacher(url, model="tiny", max_tokens=LIMIT, **api):
    settings = config.Teacher(engine="openai", model=model, base_url=url, max_tokens=max_tokens)
    return ServerTeacher(settings, STOP, config.Api(**api))


def by_key(samples):
    return {(s.prompt_id, s.index): s for s in samples}


def test_answers_are_those_of_the_engine_without_a_server_and_read_the_same(real):
    url, direct = real
    with teacher(url) as sample:
        served = [s for batch in sample(ASKED) for s in batch]
    assert by_key(served) == by_key(direct) and len(served) == len(ASKED)
    assert {s.finish_reason for s in served} <= {"stop", "length"}
    assert sample.spent.answer_tokens == sum(s.tokens for s in direct)
    assert sample.spent.calls == len(ASKED)


def test_a_server_that_refuses_a_system_message_gets_the_instructions_in_the_first_user_message(real, caplog):
    url, direct = real
    with teacher(url, concurrency=1) as sample:
        served = [s for batch in sample([instructed(request) for request in ASKED]) for s in batch]
    assert by_key(served) == by_key(direct)
    assert sample.spent.calls == len(ASKED) + 1  # the first was refused
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        NO_SYSTEM % "tiny"
    ]


def test_faults_on_the_way_lose_no_answer_and_ask_none_again_that_had_arrived(real, tmp_path):
    url, direct = real
    kinds = ["429", "500", "hang", "drop", "garble", None, None, None]
    plan = {request.seed: kinds[i % len(kinds)] for i, request in enumerate(ASKED)}
    store = SampleStore(tmp_path, IDENTITY, Limit(LIMIT))
    proxy = Proxy(url, lambda seed, attempt: plan[seed] if attempt == 1 else None)
    with proxy, teacher(proxy.url, timeout=5.0) as sample:
        assert draw(store, ASKED, sample, ignore) == 0
    assert by_key(store.load().values()) == by_key(direct)
    faults = {seed: kind for seed, kind in plan.items() if kind}
    assert proxy.asked() == {seed: 2 if seed in faults else 1 for seed in plan}
    lost = {seed for seed, kind in faults.items() if kind in ("drop", "garble")}  # answered, but not received
    assert proxy.upstream == {seed: 2 if seed in lost else 1 for seed in plan}
    assert proxy.twice == []
    assert sample.spent.repeated == len(faults)


def test_a_model_that_the_server_lacks_and_an_answer_that_is_too_long_are_refused_with_what_is_allowed(real):
    url, _ = real
    with teacher(url, model="huge") as sample, pytest.raises(ConfigError, match="allowed: tiny"):
        list(sample(ASKED[:2]))
    with teacher(url, max_tokens=600) as sample, pytest.raises(ConfigError, match="max_model_len=512"):
        list(sample(ASKED[:2]))
