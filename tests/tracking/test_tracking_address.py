import pytest

from qcrd.errors import QcrdError
from qcrd.tracking.address import without_password


@pytest.mark.parametrize(
    "uri", [None, "", "http://127.0.0.1:5000", "file:/tmp/x", "sqlite:///x.db", "./mlruns"]
)
def test_addresses_that_mlflow_knows_are_taken(uri):
    assert without_password(uri) == uri


@pytest.mark.parametrize("uri", ["127.0.0.1:5000", "localhost:5000/", "mlflow.example:80/prefix"])
def test_one_without_a_scheme_is_refused_with_the_right_one(uri):
    with pytest.raises(QcrdError, match=rf"without a scheme; write http://{uri}"):
        without_password(uri)


def test_one_with_a_password_is_refused_without_repeating_it():
    with pytest.raises(QcrdError, match="name or password") as error:
        without_password("http://me:secret@127.0.0.1:5000")
    assert "secret" not in str(error.value)
