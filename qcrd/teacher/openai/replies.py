"""Parses a chat server's replies: an answer, a transient failure, or a permanent error with a remedy."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from typing import Annotated, Any

import httpx2
from pydantic import BaseModel, BeforeValidator, Field, ValidationError

from qcrd.config import Teacher
from qcrd.errors import ConfigError, QcrdError
from qcrd.samples.finish import ending
from qcrd.samples.received import whole
from qcrd.teacher.openai.calls import Passing

LONGEST = 600.0  # seconds; a server that requests a longer wait causes an error instead of a retry
_PASSING = {408, 409, 429}  # transient status codes, besides 500 and above


def _text(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


Text = Annotated[str | None, BeforeValidator(_text)]
Counted = Annotated[int | None, BeforeValidator(_count)]
"""A number of tokens; None where a server does not count them."""


class Message(BaseModel):
    """The text of an answer, or the reason why it was refused."""

    content: Text = None
    refusal: Text = None


class Choice(BaseModel):
    """One answer."""

    message: Message
    finish_reason: Any = None


class Tokens(BaseModel):
    """The tokens that a call is billed for."""

    prompt_tokens: Counted = None
    completion_tokens: Counted = None


def _usage(value: Any) -> Any:
    return value if isinstance(value, dict | Tokens) else None


class Reply(BaseModel):
    """A chat completion; fields that are not used are ignored."""

    choices: list[Choice] = Field(min_length=1)
    usage: Annotated[Tokens, BeforeValidator(lambda value: _usage(value) or Tokens())] = Tokens()

    @property
    def refused(self) -> bool:
        """Whether the model or a filter declined to answer."""
        return ending(self.choices[0].finish_reason) == "refused" or bool(self.choices[0].message.refusal)

    @property
    def text(self) -> str:
        """The answer; "" if it was refused, also if a filter cut off a started answer."""
        return "" if self.refused else self.choices[0].message.content or ""

    @property
    def finish_reason(self) -> Any:
        """The server's finish reason, unparsed: it is normalised where the answers of all engines arrive."""
        return "stop" if self.refused else self.choices[0].finish_reason


def read(response: httpx2.Response) -> Reply | None:
    """The completion in a reply; None if the reply reports a failure.

    Azure's content filter rejects a prompt with status 400; this counts as a refused answer.

    Raises:
        Passing: if the status is 200 but the reply has no completion, or the server aborted it.
    """
    if response.status_code == 400 and _error(response).get("code") == "content_filter":
        free = Tokens(prompt_tokens=0, completion_tokens=0)
        return Reply(choices=[Choice(message=Message(refusal=shown(response)))], usage=free)
    if response.status_code != 200:
        return None
    try:
        # Not by pydantic's JSON parser: it rejects a reply with one invalid byte or surrogate.
        reply = Reply.model_validate(json.loads(whole(response.content)))
    except (ValidationError, ValueError, RecursionError):
        raise Passing(f"a reply that is no chat completion: {shown(response)!r}") from None
    if ending(reply.choices[0].finish_reason) == "failed":
        raise Passing(f"an answer that the server gave up ({reply.choices[0].finish_reason})")
    return reply


def passing(response: httpx2.Response) -> Passing | None:
    """The failure that a reply reports, if it is transient; else None."""
    status = response.status_code
    if (status not in _PASSING and status < 500) or _quota(response):
        return None
    after = retry_after(response.headers)
    if after is not None and after > LONGEST:
        return None
    return Passing(f"status {status}: {shown(response)}", after)


def final(response: httpx2.Response, teacher: Teacher, url: str, key: str, keyed: bool) -> QcrdError:
    """The error for a permanent failure, with a remedy.

    Args:
        response: the reply.
        teacher: the settings of the call.
        url: address of the server.
        key: name of the variable with the key.
        keyed: whether a key was sent.
    """
    status, message = response.status_code, shown(response)
    if status in (401, 403):  # servers quote a part of the key here
        why = f"does not accept the key in {key}" if keyed else f"wants a key, and {key} is not set"
        return ConfigError(
            f"resources.api.key: the server at {url} {why} (status {status}); export a key that may use "
            f"{teacher.model!r} in that variable, or name another variable"
        )
    if status == 402 or _quota(response):
        return QcrdError(
            f"the account behind {key} has nothing left at {url} (status {status}: {message}); top it up or "
            "raise its limit"
        )
    if status in _PASSING or status >= 500:
        wait = retry_after(response.headers) or 0
        return QcrdError(
            f"the server at {url} asks to wait {wait:.0f} s (status {status}: {message}); come back then"
        )
    if status == 400:
        return ConfigError(
            f"the server at {url} refuses to answer (status 400): {message}\n"
            f"If prompt and answer are too long together, lower teacher.max_tokens (now "
            f"{teacher.max_tokens}), give task.prompt a file with fewer examples, or take another "
            "teacher.model. If the model has no chat template, start the server with one (vLLM: "
            "--chat-template FILE)"
        )
    return ConfigError(
        f"the server at {url} refuses the call (status {status}): {message}\n"
        "See that teacher.base_url is the address of an OpenAI-compatible API; such addresses mostly end "
        "in /v1"
    )


def unknown_model(teacher: Teacher, url: str, offered: Sequence[str]) -> ConfigError:
    """The error for a model that is not among those that the server lists."""
    some = ", ".join(offered[:20]) + (f" and {len(offered) - 20} more" if len(offered) > 20 else "")
    return ConfigError(
        f"teacher.model is {teacher.model!r}, which the server at {url} lacks; allowed: {some}"
    )


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that a reply asks to wait, from a number of (milli)seconds or a date; None without either."""
    for name, unit in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue
    try:
        return max(0.0, parsedate_to_datetime(headers["retry-after"]).timestamp() - time.time())
    except (KeyError, ValueError):
        return None


def shown(response: httpx2.Response) -> str:
    """A reply's error message in one line of at most 300 characters; an API key in it is masked."""
    message = whole(str(_error(response).get("message") or response.text))
    if key := response.request.headers.get("authorization", "").removeprefix("Bearer "):
        message = message.replace(key, "***")
    return " ".join(message.split())[:300]


def _error(response: httpx2.Response) -> dict[str, Any]:
    """The reply's error object, which servers put under `error` or at the top level."""
    try:
        body = response.json()
    except ValueError:
        return {}
    body = body.get("error", body) if isinstance(body, dict) else {}
    return body if isinstance(body, dict) else {"message": body}


def _quota(response: httpx2.Response) -> bool:
    error = _error(response)
    return response.status_code == 429 and "insufficient_quota" in (error.get("code"), error.get("type"))
