"""Names of places with variables in them."""

import pytest

from qcrd.config.paths import replaced, secret


def test_variables_and_the_home_are_replaced(monkeypatch):
    monkeypatch.setenv("QCRD_TEST_DATA", "/data")
    assert replaced("${QCRD_TEST_DATA}/a") == replaced("$QCRD_TEST_DATA/a") == "/data/a"


@pytest.mark.parametrize(
    "name",
    [
        "HF_TOKEN",
        "OPENAI_API_KEY",
        "OPENAI_APIKEY",
        "AWS_SECRET_ACCESS_KEY",
        "MLFLOW_TRACKING_PASSWORD",
        "TOKEN",
    ],
)
def test_a_secret_never_becomes_part_of_a_place(monkeypatch, name):
    monkeypatch.setenv(name, "hunter2")
    assert secret(name)
    with pytest.raises(ValueError, match=f"{name} is a secret by its name") as refusal:
        replaced(f"http://host/${{{name}}}")
    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize("name", ["QCRD_DATA", "TOKENIZER", "KEYS_OF_MUSIC", "HOME", "STUDENT"])
def test_other_names_are_no_secrets(name):
    assert not secret(name)
