"""What a chat server's replies mean: an answer, a failure that may pass, or an error and what to do."""

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

LONGEST = 600.0  # seconds that a server may ask to wait; beyond that a person should know
_PASSING = {408, 409, 429}  # and all from 500 on


def _text(value: Any) -> Any:
    return whole(value) if isinstance(value, str) else value


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) and value >= 0 else None


Text = Annotated[str | None, BeforeValidator(_text)]
Counted = Annotated[int | None, BeforeValidator(_count)]
"""A number of tokens; None where a server does not count them."""


class Message(BaseModel):
    """The text of an answer, or why there is none."""

    content: Text = None
    refusal: Text = None


class Choice(BaseModel):
    """One answer."""

    message: Message
    finish_reason: Any = None


class Tokens(BaseModel):
    """What a call is paid for."""

    prompt_tokens: Counted = None
    completion_tokens: Counted = None


def _usage(value: Any) -> Any:
    return value if isinstance(value, dict | Tokens) else None


class Reply(BaseModel):
    """A chat completion, as far as it is read."""

    choices: list[Choice] = Field(min_length=1)
    usage: Annotated[Tokens, BeforeValidator(lambda value: _usage(value) or Tokens())] = Tokens()

    @property
    def refused(self) -> bool:
        """Whether the model or a filter declined to answer."""
        return ending(self.choices[0].finish_reason) == "refused" or bool(self.choices[0].message.refusal)

    @property
    def text(self) -> str:
        """The answer; nothing where it was refused, since a filter's torso is none."""
        return "" if self.refused else self.choices[0].message.content or ""

    @property
    def finish_reason(self) -> Any:
        """As the server says it; what it means is read where every engine's answers are received."""
        return "stop" if self.refused else self.choices[0].finish_reason


def read(response: httpx2.Response) -> Reply | None:
    """The completion in a reply; None where it reports a failure.

    A filter that takes offence at the question itself (Azure's) says so with status 400: a refused answer.

    Raises:
        Passing: if the status is 200 but there is none, or the server gave it up.
    """
    if response.status_code == 400 and _error(response).get("code") == "content_filter":
        free = Tokens(prompt_tokens=0, completion_tokens=0)
        return Reply(choices=[Choice(message=Message(refusal=shown(response)))], usage=free)
    if response.status_code != 200:
        return None
    try:
        # Not by pydantic: it refuses a whole reply for one byte or half a character that is none.
        reply = Reply.model_validate(json.loads(whole(response.content)))
    except (ValidationError, ValueError, RecursionError):
        raise Passing(f"a reply that is no chat completion: {shown(response)!r}") from None
    if ending(reply.choices[0].finish_reason) == "failed":
        raise Passing(f"an answer that the server gave up ({reply.choices[0].finish_reason})")
    return reply


def passing(response: httpx2.Response) -> Passing | None:
    """The failure that a reply reports, if it may be gone the next time."""
    status = response.status_code
    if (status not in _PASSING and status < 500) or _quota(response):
        return None
    after = retry_after(response.headers)
    if after is not None and after > LONGEST:
        return None
    return Passing(f"status {status}: {shown(response)}", after)


def final(response: httpx2.Response, teacher: Teacher, url: str, key: str, keyed: bool) -> QcrdError:
    """The error for a reply after which asking again does not help, with what to do.

    Args:
        response: the reply.
        teacher: the settings that asked.
        url: address of the server.
        key: name of the variable with the key.
        keyed: whether a key was sent.
    """
    status, said = response.status_code, shown(response)
    if status in (401, 403):  # servers quote a part of the key here
        why = f"does not accept the key in {key}" if keyed else f"wants a key, and {key} is not set"
        return ConfigError(
            f"resources.api.key: the server at {url} {why} (status {status}); export a key that may use "
            f"{teacher.model!r} in that variable, or name another variable"
        )
    if status == 402 or _quota(response):
        return QcrdError(
            f"the account behind {key} has nothing left at {url} (status {status}: {said}); top it up or "
            "raise its limit"
        )
    if status in _PASSING or status >= 500:
        wait = retry_after(response.headers) or 0
        return QcrdError(
            f"the server at {url} asks to wait {wait:.0f} s (status {status}: {said}); come back then"
        )
    if status == 400:
        return ConfigError(
            f"the server at {url} refuses to answer (status 400): {said}\n"
            f"If prompt and answer are too long together, lower teacher.max_tokens (now "
            f"{teacher.max_tokens}), give task.prompt a file with fewer examples, or take another "
            "teacher.model. If the model has no chat template, start the server with one (vLLM: "
            "--chat-template FILE)"
        )
    return ConfigError(
        f"the server at {url} refuses the call (status {status}): {said}\n"
        "See that teacher.base_url is the address of an OpenAI-compatible API; such addresses mostly end "
        "in /v1"
    )


def unknown_model(teacher: Teacher, url: str, offered: Sequence[str]) -> ConfigError:
    """The error for a model that the server lacks, where it says which it has."""
    some = ", ".join(offered[:20]) + (f" and {len(offered) - 20} more" if len(offered) > 20 else "")
    return ConfigError(
        f"teacher.model is {teacher.model!r}, which the server at {url} lacks; allowed: {some}"
    )


def retry_after(headers: httpx2.Headers) -> float | None:
    """Seconds that a reply asks to wait: a number of them, or a date."""
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
    """What a reply says, in one line of at most 300 characters, and without the key that it may quote."""
    message = whole(str(_error(response).get("message") or response.text))
    if key := response.request.headers.get("authorization", "").removeprefix("Bearer "):
        message = message.replace(key, "***")
    return " ".join(message.split())[:300]


def _error(response: httpx2.Response) -> dict[str, Any]:
    """The reply's error object; servers put it below `error` or at the top."""
    try:
        body = response.json()
    except ValueError:
        return {}
    body = body.get("error", body) if isinstance(body, dict) else {}
    return body if isinstance(body, dict) else {"message": body}


def _quota(response: httpx2.Response) -> bool:
    error = _error(response)
    return response.status_code == 429 and "insufficient_quota" in (error.get("code"), error.get("type"))
