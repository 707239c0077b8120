"""The token of a Ray that a run starts for itself."""

import pytest

from qcrd.grid.token import ELSEWHERE, keep_private


@pytest.fixture
def token(tmp_path, monkeypatch):
    """Where it is, in a home of its own."""
    for name in (*ELSEWHERE, "RAY_AUTH_MODE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path / ".ray" / "auth_token"


def test_it_is_made_once_and_for_its_user_alone(token):
    keep_private()
    first = token.read_text()
    keep_private()
    assert token.read_text() == first and len(first) == 64
    assert token.stat().st_mode & 0o777 == 0o600


def test_one_that_ray_left_open_is_closed_and_kept(token):
    token.parent.mkdir()
    token.write_text("f00")
    token.chmod(0o644)
    keep_private()
    assert token.read_text() == "f00" and token.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("name", [*ELSEWHERE, "RAY_AUTH_MODE"])
def test_none_is_made_where_another_holds_or_none_is_wanted(token, monkeypatch, name):
    monkeypatch.setenv(name, "disabled")
    keep_private()
    assert not token.exists()
