"""What every command does with what it is given."""

import pytest
from typer.testing import CliRunner

from qcrd.cli import app
from qcrd.errors import QcrdError


@pytest.mark.parametrize("command", ["run", "sync", "doctor"])
@pytest.mark.parametrize("how", ["option", "variable"])
def test_an_mlflow_address_with_a_password_is_refused_and_not_repeated(monkeypatch, command, how):
    uri = "http://me:hunter2@127.0.0.1:5000"
    arguments = [command, "grids/quickstart.yaml"]
    if how == "option":
        arguments += ["--tracking", uri]
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(QcrdError, match="MLFLOW_TRACKING_PASSWORD") as refusal:
        CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert "hunter2" not in str(refusal.value)
