"""Errors of a model that another attempt would not load either, as errors that the user can correct."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from qcrd.errors import ConfigError

_SETTINGS = (("max_model_len", "max_len"), ("quantization", "quantization"), ("dtype", "dtype"))
"""Words in a library's message, and the setting of the teacher that they are about."""


@contextmanager
def explained(model: str) -> Iterator[None]:
    """Context in which a teacher's model is loaded.

    A wrong setting (a ValueError of the library) and a model that the Hub does not give (missing, gated, out
    of reach) are permanent. Other errors, such as a lack of memory, may be gone at the next attempt.

    Args:
        model: Hub id or folder.

    Raises:
        ConfigError: for a permanent error; names the setting.
    """
    try:
        yield
    except ValueError as error:
        raise _refused(model, error) from error
    except OSError as error:
        if not _of_hub(error):
            raise
        raise _refused(model, error) from error


def _refused(model: str, error: Exception) -> ConfigError:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    told = next(
        (line for line in lines if line.startswith("Value error, ")), lines[0] if lines else repr(error)
    )
    message = told.removeprefix("Value error, ").partition(" [type=")[0]
    setting = next((name for word, name in _SETTINGS if word in message.lower()), "model")
    return ConfigError(f"teacher.{setting}: {model} cannot be loaded: {message}")


def _of_hub(error: BaseException | None) -> bool:
    """Whether the Hub's client raised this error, or one that caused it."""
    while error is not None:
        if type(error).__module__.startswith("huggingface_hub"):
            return True
        if "not a local folder" in str(error) or "valid model identifier" in str(error):
            return True
        error = error.__cause__ or error.__context__
    return False
