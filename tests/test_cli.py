"""What every command does with what it is given."""

import pytest
import typer
from typer.testing import CliRunner

import qcrd
from qcrd.cli import app, main
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


def commands(group=None, words=()):
    """Each command as it is typed."""
    group = group or typer.main.get_command(app)
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*words, name))
        yield (*words, name)


@pytest.mark.parametrize("words", [(), *commands()], ids=" ".join)
def test_every_command_has_short_help(words):
    short, long = (CliRunner().invoke(app, [*words, option]) for option in ("-h", "--help"))
    assert short.exit_code == 0
    assert short.output == long.output
    assert "Usage:" in short.output


def test_the_version_is_told():
    result = CliRunner().invoke(app, ["--version"])
    assert (result.exit_code, result.output) == (0, f"qcrd {qcrd.__version__}\n")


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("qcrd sta", ["status"]),
        ("qcrd plan --lim", ["--limit"]),
        ("qcrd samples ver", ["verify"]),
        ("qcrd settings contrastive.sch", ["contrastive.scheme"]),
    ],
)
def test_the_shell_completes_commands_options_and_settings(monkeypatch, capsys, typed, completed):
    monkeypatch.setenv("_QCRD_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(typed.count(" ")))
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    assert capsys.readouterr().out.split() == completed
