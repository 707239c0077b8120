"""Chat servers on loopback that answer, or fail, as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2


@dataclass(frozen=True)
class Reply:
    """What a server sends back."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: str = ""  # "hang" sends nothing, "drop" half of the body, "drip" a byte now and then


HANG = Reply(fault="hang")


def completion(
    text: str | None = "it is 4", finish_reason: str = "stop", tokens: int = 3, **message
) -> Reply:
    """A chat completion."""
    choice = {"index": 0, "message": {"content": text, **message}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 10, "completion_tokens": tokens}
    return Reply(body=json.dumps({"choices": [choice], "usage": usage}).encode())


def failure(status: int, message: str = "no", headers: dict[str, str] | None = None, **error) -> Reply:
    """An error as OpenAI's server writes it."""
    return Reply(status, json.dumps({"error": {"message": message, **error}}).encode(), headers or {})


class ChatServer:
    """Answers chat completions with what `answer` returns for a call's body and its number for that seed.

    Attributes:
        calls: bodies of the calls, in the order of their arrival.
        headers: of the same calls.
        busiest: most calls that were under way at once.
    """

    def __init__(self, answer: Callable[[dict, int], Reply], models: tuple[str, ...] = ()):
        self.answer, self.models = answer, models
        self.calls: list[dict] = []
        self.headers: list[dict[str, str]] = []
        self.busiest = self._busy = 0
        self._attempts: Counter[int] = Counter()
        self._lock, self._closing = threading.Lock(), threading.Event()

    def __enter__(self) -> ChatServer:
        chat = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                chat._post(self)

            def do_GET(self):
                found = {"data": [{"id": name} for name in chat.models]}
                chat._send(self, Reply(body=json.dumps(found).encode()) if chat.models else Reply(404))

            def log_message(self, *_):
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 128  # else connections are reset where many come at once
            daemon_threads, block_on_close = True, False

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/v1"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        ).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._server.shutdown()
        self._server.server_close()

    def asked(self) -> Counter[int]:
        """How often each seed was asked."""
        return Counter(call["seed"] for call in self.calls)

    def _post(self, handler: BaseHTTPRequestHandler) -> None:
        body = json.loads(handler.rfile.read(int(handler.headers["content-length"])))
        with self._lock:
            self.calls.append(body)
            self.headers.append(dict(handler.headers))
            self._attempts[body["seed"]] += 1
            attempt = self._attempts[body["seed"]]
            self._busy += 1
            self.busiest = max(self.busiest, self._busy)
        reply = self.answer(body, attempt)
        with self._lock:
            self._busy -= 1
        self._send(handler, reply)

    def _send(self, handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        if reply.fault:
            handler.close_connection = True
        if reply.fault == "hang":
            self._closing.wait()
            return
        handler.send_response(reply.status)
        for name, value in {"content-length": str(len(reply.body)), **reply.headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if reply.fault == "drip":
            for byte in reply.body:
                handler.wfile.write(bytes([byte]))
                if self._closing.wait(0.05):
                    return
        handler.wfile.write(reply.body[: len(reply.body) // 2] if reply.fault == "drop" else reply.body)


class Proxy(ChatServer):
    """Passes calls on to a real server, except where `fault` names one for the n-th call with a seed.

    Faults: "429", "500", "hang" never reach the server; "drop" and "garble" lose its answer on the way.

    Attributes:
        upstream: how often each seed reached the server.
        twice: seeds that were asked again after their answer had been sent.
    """

    def __init__(self, target: str, fault: Callable[[int, int], str | None]):
        super().__init__(self._pass_on)
        self.target, self.fault = target, fault
        self.upstream: Counter[int] = Counter()
        self.twice: list[int] = []
        self._sent: set[int] = set()

    def _pass_on(self, body: dict, attempt: int) -> Reply:
        seed = body["seed"]
        fault = self.fault(seed, attempt)
        if fault == "429":
            return failure(429, "slow down", {"retry-after": "1"})
        if fault == "500":
            return Reply(500, b"<html>oh dear</html>")
        if fault == "hang":
            return HANG
        if seed in self._sent:
            self.twice.append(seed)
        self.upstream[seed] += 1
        found = httpx2.post(f"{self.target}/chat/completions", json=body, timeout=60, trust_env=False)
        if fault == "drop":
            return Reply(200, found.content, fault="drop")
        if fault == "garble":
            return Reply(200, found.content[:-9])
        self._sent.add(seed)
        return Reply(found.status_code, found.content)


def wait_until(holds: Callable[[], bool], seconds: float = 30.0) -> None:
    """Wait for something that another thread brings about."""
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until, "it never came about"
        time.sleep(0.01)
