"""`qcrd doctor` as it is typed."""

import json

import pytest
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.doctor import hub, services


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """The command with an empty home and no services."""
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "MLFLOW_TRACKING_URI"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QCRD_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(hub, "_status", lambda: "no network")
    services._nodes.cache_clear()
    return lambda *arguments: CliRunner().invoke(app, ["doctor", *arguments], catch_exceptions=False)


def test_a_line_says_the_state_and_the_next_one_the_remedy(typed):
    found = typed()
    lines = found.stdout.splitlines()
    assert found.exit_code == 0, found.stdout
    assert "ok       leftovers: none" in lines
    at = next(i for i, line in enumerate(lines) if line.startswith("warning  Hub: "))
    assert lines[at].endswith("no network") and lines[at + 1].startswith(" " * 9 + "-> ")


def test_an_error_ends_with_1_and_json_holds_all_that_the_text_says(typed, tmp_path):
    (tmp_path / "broken.yaml").write_text("name: [")
    found = typed(str(tmp_path / "broken.yaml"), "--json")
    assert found.exit_code == 1
    checks = json.loads(found.stdout)
    assert set(checks[0]) == {"name", "state", "found", "remedy"}
    assert [check["name"] for check in checks if check["state"] == "error"] == ["grid"]
    assert not (tmp_path / "home").exists()
