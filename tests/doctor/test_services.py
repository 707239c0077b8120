"""Services that answer, refuse, or let everybody in; on loopback."""

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from qcrd.doctor import hub, services, web


@contextmanager
def answering(status):
    """The address of a server that answers a request's Authorization with `status(it)`."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(status(self.headers.get("Authorization")))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def no_cluster(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    services._nodes.cache_clear()
    hub._status.cache_clear()


def closed():
    """An address at which nobody listens."""
    with answering(lambda _: 200) as address:
        return address


def test_a_jobs_page_that_refuses_strangers_and_takes_the_token_is_well():
    with answering(lambda token: 200 if token == "Bearer right" else 401) as page:
        assert services.jobs(page, "right").state == "ok"
        for token in ("wrong", None):
            found = services.jobs(page, token)
            assert found.state == "error" and "RAY_AUTH_TOKEN_PATH" in found.remedy


def test_a_jobs_page_that_is_open_to_all_is_an_error():
    with answering(lambda _: 200) as page:
        found = services.jobs(page, "any")
    assert found.state == "error" and "lets every caller run programs" in found.found


def test_a_jobs_page_that_does_not_answer_or_is_none_is_an_error():
    assert services.jobs(closed(), None).state == "error"
    with answering(lambda _: 404) as page:
        assert "answers 404" in services.jobs(page, None).found


def test_no_token_is_ever_said(monkeypatch, tmp_path):
    token = tmp_path / "token"
    token.write_text("very-secret-word")
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(token))
    monkeypatch.setenv("RAY_ADDRESS", closed().removeprefix("http://"))
    with answering(lambda _: 403) as page:
        monkeypatch.setenv("RAY_API_SERVER_ADDRESS", page)
        found = list(services.ray())
    assert [check.name for check in found] == ["Ray's token", "Ray", "Ray's jobs"]
    assert services.token() == "very-secret-word" and "very-secret-word" not in str(found)


def test_a_cluster_without_its_variables_is_explained(monkeypatch, tmp_path):
    monkeypatch.setenv("RAY_ADDRESS", closed().removeprefix("http://"))
    token, ray = services.ray()
    assert token.state == "warning" and "RAY_AUTH_MODE=token" in token.remedy
    assert ray.state == "error" and "refused" in ray.found
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "none"))
    assert next(iter(services.ray())).state == "error"


def test_without_an_address_a_run_has_a_ray_and_no_mlflow():
    assert [check.state for check in [*services.ray(), *services.mlflow(None)]] == ["ok", "ok"]


def test_an_mlflow_that_does_not_answer_is_a_warning_as_runs_lose_nothing():
    (found,) = services.mlflow(closed())
    assert found.state == "warning" and "qcrd sync" in found.remedy


@pytest.mark.parametrize(
    "refused, strangers, state, words",
    [
        ("", 401, "ok", "refuses callers without"),
        ("", 200, "warning", "every account of this machine"),
        ("401 Unauthorized", 401, "warning", "401 Unauthorized"),
    ],
)
def test_an_mlflow_is_judged_by_what_it_says_to_us_and_to_strangers(
    monkeypatch, refused, strangers, state, words
):
    monkeypatch.setattr("qcrd.tracking.mlflow.client.refusal", lambda uri: refused)
    replies = iter([200, strangers])
    with answering(lambda _: next(replies)) as uri:
        (found,) = services.mlflow(uri)
    assert found.state == state and words in found.found


def test_a_hub_out_of_reach_is_a_warning_and_is_not_asked_again(monkeypatch):
    import datasets
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    before = datasets.config.HF_HUB_OFFLINE
    monkeypatch.setattr(constants, "ENDPOINT", closed())
    (found,) = hub.hub()
    assert found.state == "warning" and "HF_HUB_OFFLINE" in found.remedy
    with hub.unasked_if_out_of_reach():
        assert constants.is_offline_mode() and datasets.config.HF_HUB_OFFLINE
    assert not constants.is_offline_mode() and before == datasets.config.HF_HUB_OFFLINE
    hub._status.cache_clear()
    with answering(lambda _: 200) as address:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        assert [check.state for check in hub.hub()] == ["ok"]
        with hub.unasked_if_out_of_reach():
            assert not constants.is_offline_mode()
    hub._status.cache_clear()


def test_an_address_that_is_none_is_said_and_not_raised():
    assert isinstance(web.status("http://[broken"), str)
    assert isinstance(web.status("nonsense"), str)
