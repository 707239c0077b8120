"""Installed versions against those that are asked for."""

from importlib import metadata

import pytest

from qcrd.doctor import versions


@pytest.fixture
def required(monkeypatch):
    """Has a distribution `ours` require some lines."""

    def require(**lines):
        monkeypatch.setattr(metadata, "requires", lambda name: lines.get(name, []))

    return require


def test_what_is_missing_or_too_old_is_named_with_what_is_needed(required):
    required(ours=["numpy>=1", "numpy<1", "no-such-thing-at-all", "pytest==0.1"])
    wrong = list(versions.unmet("ours"))
    assert len(wrong) == 3
    assert wrong[0].startswith("numpy is ") and wrong[0].endswith("ours needs <1")
    assert wrong[1] == "no-such-thing-at-all is missing, ours needs it"


def test_extras_count_only_where_they_are_asked_for(required):
    required(ours=["numpy[fast]"], numpy=['absent-thing; extra == "fast"', 'other-thing; extra == "slow"'])
    assert list(versions.unmet("ours")) == ["absent-thing is missing, numpy needs it"]
    required(ours=['absent-thing; extra == "gpu"', 'absent-thing; python_version < "3"'])
    assert list(versions.unmet("ours")) == []


def test_what_is_left_out_is_not_looked_at(required):
    required(ours=["torchvision==0.0.1", "numpy<1"])
    assert len(list(versions.unmet("ours", without=("torchvision",)))) == 1


def test_this_environment_fits():
    assert {check.state for check in versions.versions()} <= {"ok", "warning"}
