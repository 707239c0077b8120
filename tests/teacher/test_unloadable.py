"""Which errors of loading a teacher are the user's to correct; messages as of vLLM and transformers."""

import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from qcrd.errors import ConfigError
from qcrd.teacher.unloadable import explained

LENGTH = """1 validation error for ModelConfig
  Value error, User-specified max_model_len (100000) is greater than max_model_len (512). [type=value_error]
    For further information visit https://errors.pydantic.dev"""


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError(LENGTH), r"^teacher.max_len: a/model cannot be loaded: User-specified .*\(512\)\. ?$"),
        (
            ValueError("Value error, Unknown quantization method: x."),
            r"^teacher.quantization: .*method: x\.$",
        ),
        (
            ValueError("Invalid repository ID or local directory specified: '/x'."),
            r"^teacher.model: .*'/x'\.$",
        ),
        (OSError("a/model is not a local folder and is not a valid model identifier"), "^teacher.model: "),
    ],
)
def test_a_setting_that_the_library_refuses_is_named(error, message):
    with pytest.raises(ConfigError, match=message), explained("a/model"):
        raise error


def test_a_model_that_the_hub_does_not_give_is_an_error_of_the_user():
    with pytest.raises(ConfigError, match="We could not connect"), explained("a/model"):
        try:
            raise LocalEntryNotFoundError("no connection")
        except LocalEntryNotFoundError as cause:
            raise OSError("We could not connect to the Hub.\nCheck your connection.") from cause


@pytest.mark.parametrize("error", [OSError(24, "Too many open files"), RuntimeError("CUDA out of memory")])
def test_what_may_be_gone_at_the_next_attempt_stays_as_it_is(error):
    with pytest.raises(type(error)) as raised, explained("a/model"):
        raise error
    assert raised.value is error
