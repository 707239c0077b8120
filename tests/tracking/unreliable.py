"""A proxy before an MLflow server that does what networks and servers do to each other."""

from __future__ import annotations

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Unreliable:
    """Hands requests on to a server on loopback, as long as it is told nothing else.

    Attributes:
        uri: its own address.
        refusing: answers 500 without asking the server.
        losing: asks the server, and answers 500 whatever that said.
        open: what is held back while it is not set.
        held: set once something is held back.
        posts: requests that changed something, so far.
    """

    def __init__(self, port: int):
        self.refusing = self.losing = False
        self.open, self.held = threading.Event(), threading.Event()
        self.open.set()
        self.posts = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def _pass(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                outer.posts += self.command == "POST"
                if not outer.open.is_set():
                    outer.held.set()
                    outer.open.wait(60)
                if outer.refusing:
                    return self._answer(500, b"{}")
                server = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
                headers = {k: v for k, v in self.headers.items() if k.lower() not in ("host", "connection")}
                server.request(self.command, self.path, body, headers)
                answer = server.getresponse()
                content = answer.read()
                server.close()
                # Only what changes something: a lost answer to a question is asked for again anyway.
                if outer.losing and self.command == "POST" and "search" not in self.path:
                    return self._answer(500, b"{}")
                return self._answer(answer.status, content)

            def _answer(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_PUT = do_PATCH = _pass

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """End it; what is held back goes on."""
        self.open.set()
        self._server.shutdown()
        self._server.server_close()
