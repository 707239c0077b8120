"""A stand-in for the Hugging Face Hub on loopback: it takes new repositories and commits."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Hub:
    """What was sent: repositories with their settings, and the files of each."""

    def __init__(self) -> None:
        self.repositories: dict[str, dict] = {}
        self.files: dict[str, dict[str, bytes]] = {}
        self.messages: list[str] = []
        self.tokens: set[str] = set()
        self.refusing = False
        self.uri = ""


@contextmanager
def served() -> Iterator[Hub]:
    """The server, as long as the context lasts."""
    hub = Hub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.body()
            hub.tokens.add(self.headers.get("Authorization", ""))
            parts = self.path.split("?")[0].strip("/").split("/")
            if hub.refusing:
                return self.answer(403, {"error": "Forbidden: you may not write here"})
            if parts == ["api", "repos", "create"]:
                asked = json.loads(body)
                repo = f"{asked.get('organization', 'me')}/{asked['name']}"
                hub.repositories[repo] = asked
                return self.answer(200, {"url": f"{hub.uri}/{repo}", "name": repo, "id": repo})
            if parts == ["api", "validate-yaml"]:  # of the model card
                return self.answer(200, {"errors": [], "warnings": []})
            repo = "/".join(parts[2:4])
            if parts[4] == "preupload":
                asked = json.loads(body)["files"]
                each = [{"path": f["path"], "uploadMode": "regular", "shouldIgnore": False} for f in asked]
                return self.answer(200, {"files": each})
            assert parts[4] == "commit"
            for line in body.decode().splitlines():
                entry = json.loads(line)
                if entry["key"] == "header":
                    hub.messages.append(entry["value"]["summary"])
                else:
                    content = base64.b64decode(entry["value"]["content"])
                    hub.files.setdefault(repo, {})[entry["value"]["path"]] = content
            oid = "0123456789abcdef0123456789abcdef01234567"
            return self.answer(200, {"commitOid": oid, "commitUrl": f"{hub.uri}/{repo}/commit/{oid}"})

        def body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            chunks = []
            while size := int(self.rfile.readline(), 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(chunks)

        def do_GET(self) -> None:
            self.answer(200, {"siblings": [], "id": "/".join(self.path.split("/")[3:5]), "sha": None})

        def answer(self, code: int, content: dict) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub.uri = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
