"""Teachers behind an OpenAI-compatible chat API, such as vLLM's server or OpenAI's.

Calls use httpx2, which huggingface_hub requires anyway, and not OpenAI's client: only one endpoint is used,
and the client's timeouts and retries do not fit. It does not time out on a slowly sent body, does not retry
on a malformed answer, and retries when an account has no quota.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Generator, Iterator, Sequence
from functools import partial

import httpx2

from qcrd.config import Api, Teacher
from qcrd.errors import ConfigError, QcrdError
from qcrd.samples.finish import unsaid
from qcrd.samples.requests import Request
from qcrd.teacher.chat import NO_SYSTEM, messages, objects_to_roles
from qcrd.teacher.openai import replies, spending
from qcrd.teacher.openai.background import in_background
from qcrd.teacher.openai.calls import Calls, Passing, Stopped
from qcrd.teacher.openai.replies import Reply
from qcrd.teacher.openai.spending import Spending
from qcrd.types import Sample

log = logging.getLogger(__name__)

OPENAI = "https://api.openai.com/v1"
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class ServerTeacher:
    """A SampleFn over a server's chat completions; a context manager that cancels calls in flight on exit.

    Makes one call per request, each with its own seed of 48 bits: within the 64 bits that OpenAI and vLLM
    accept and exactly representable in JSON. Servers may ignore seeds; samples are stored, so results are
    reproducible all the same. vLLM's server applies the top-k and penalties of a model's
    generation_config.json unless it is started with `--generation-config vllm`.

    An answer refused by the model or a filter becomes a sample with an empty text: a retry would be refused
    again, and an empty answer counts as one without a label.

    If a server rejects a system message (the model's chat template has no such role), this and all later
    calls put the instructions into the first user message.

    Args:
        teacher: model name, server address and sampling settings.
        stop: strings at which an answer ends; OpenAI's server allows at most four.
        api: key, prices, concurrency, timeout and retries.

    Attributes:
        url: the server's address.
        spent: calls and tokens so far.

    Raises:
        ConfigError: if the address is invalid, or the key is missing or malformed.
    """

    def __init__(self, teacher: Teacher, stop: Sequence[str], api: Api):
        self._teacher, self._stop, self._api = teacher, list(stop), api
        self.url = (teacher.base_url or OPENAI).rstrip("/")
        self._key = _key(api.key, needed=teacher.base_url is None)
        self._host = _host(self.url)
        self._system_role = True  # until the server refuses it
        self.spent = Spending()
        self._round: Generator[list[Sample], None, None] | None = None

    def __enter__(self) -> ServerTeacher:
        return self

    def __exit__(self, *_: object) -> None:
        if self._round:
            self._round.close()

    def __call__(self, requests: Sequence[Request]) -> Iterator[list[Sample]]:
        """The samples of `requests`, each as soon as it arrives.

        After a permanent error no new call starts, but calls in flight finish: their answers are paid for.

        Raises:
            QcrdError: on a permanent error, or if a call still fails after all retries.
        """
        self._round = in_background(partial(self._work, requests))
        return self._round

    def estimate(self, requests: Sequence[Request]) -> str:
        """Upper estimate of calls, tokens and cost of the requests, as text."""
        about = spending.estimate(requests, self._teacher.max_tokens)
        tokens = f"about {about.prompt_tokens:,} prompt and at most {about.answer_tokens:,} answer tokens"
        return f"{about.calls:,} calls, {tokens}{self._dollars(about, 'at most about ')}"

    def summary(self) -> str:
        """Calls, tokens and cost so far, as text."""
        spent = self.spent
        tokens = f"{spent.prompt_tokens:,} prompt and {spent.answer_tokens:,} answer tokens"
        refused = f", {spent.refused:,} answers refused" if spent.refused else ""
        retries = f" ({spent.repeated:,} of them retries)" if spent.repeated else ""
        return f"{spent.calls:,} calls{retries}, {tokens}{refused}{self._dollars(spent)}"

    def cost(self) -> float | None:
        """Cost so far in dollars; None unless resources.api has both prices."""
        return self.spent.cost(self._api)

    def _dollars(self, spending: Spending, how: str = "") -> str:
        cost = spending.cost(self._api)
        return "" if cost is None else f", {how}${cost:,.2f}"

    async def _work(self, requests: Sequence[Request], put: Callable[[list[Sample]], None]) -> None:
        waiting, arrived, errors = iter(requests), [], []
        calls = Calls(self._api, self.spent)
        async with self._client() as client:

            async def worker() -> None:
                for request in waiting:
                    try:
                        reply = await calls(partial(self._ask, client, request))
                    except Stopped:
                        return
                    except (Passing, QcrdError) as error:
                        errors.append(error)
                        calls.stop()
                        return
                    arrived.append(request)
                    put([self._sample(request, reply)])

            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._api.concurrency, len(requests))):
                    group.create_task(worker())
        if errors:
            raise self._final_error(errors, f"{len(arrived):,} of {len(requests):,}")

    def _client(self) -> httpx2.AsyncClient:
        return httpx2.AsyncClient(
            headers={"Authorization": f"Bearer {self._key}"} if self._key else {},
            limits=httpx2.Limits(max_connections=self._api.concurrency),
            timeout=self._api.timeout,
            trust_env=self._host not in _LOOPBACK,  # no proxy for loopback addresses
        )

    async def _ask(self, client: httpx2.AsyncClient, request: Request) -> Reply:
        """Make one call, or two if the server rejects the system message.

        Raises:
            Passing: on a transient failure.
            QcrdError: on a permanent error.
        """
        teacher, system_role = self._teacher, self._system_role
        response = await self._post(client, request, system_role)
        if reply := replies.read(response):
            return reply
        if (
            response.status_code == 400
            and system_role
            and request.prompt.system
            and objects_to_roles(replies.shown(response))
        ):
            self.spent.calls += 1
            second = await self._post(client, request, system_role=False)
            if reply := replies.read(second):
                if self._system_role:
                    self._system_role = False
                    log.warning(NO_SYSTEM, teacher.model)
                return reply
        if failure := replies.passing(response):
            raise failure
        if response.status_code == 404:
            offered = await self._offered(client)
            if offered and teacher.model not in offered:
                raise replies.unknown_model(teacher, self.url, offered)
        raise replies.final(response, teacher, self.url, self._api.key, bool(self._key))

    async def _post(self, client: httpx2.AsyncClient, request: Request, system_role: bool) -> httpx2.Response:
        teacher = self._teacher
        body = {
            "model": teacher.model,
            "messages": messages(request.prompt, system_role),
            "temperature": teacher.temperature,
            "top_p": teacher.top_p,
            "max_tokens": teacher.max_tokens,
            "seed": request.seed,
        }
        if self._stop:
            body["stop"] = self._stop
        return await client.post(f"{self.url}/chat/completions", json=body)

    async def _offered(self, client: httpx2.AsyncClient) -> list[str]:
        """Names of the server's models; empty if the server does not list them."""
        try:
            models = (await client.get(f"{self.url}/models")).json()["data"]
            return sorted(str(model["id"]) for model in models)
        except (httpx2.HTTPError, ValueError, LookupError, TypeError):
            return []

    def _sample(self, request: Request, reply: Reply) -> Sample:
        prompt, tokens = reply.usage.prompt_tokens, reply.usage.completion_tokens
        reason = reply.finish_reason
        if prompt is None:  # the server does not report usage
            prompt = spending.estimate([request], 0).prompt_tokens
        if tokens is None:
            tokens = spending.tokens_of(reply.text)
            reason = reason or unsaid(reply.text, 0, self._teacher.max_tokens)  # 0: do not use the estimate
        self.spent.prompt_tokens += prompt
        self.spent.answer_tokens += tokens
        self.spent.refused += reply.refused
        return Sample(request.prompt_id, request.question_id, request.index, reply.text, reason, tokens)

    def _final_error(self, errors: Sequence[Passing | QcrdError], share: str) -> QcrdError:
        """The error to raise; its message names the number of answers that are stored."""
        final = [error for error in errors if isinstance(error, QcrdError)]
        kept = f"{share} answers were received and stored; run the same command to continue"
        if final:
            return type(final[0])(f"{final[0]}\n{kept}")
        return QcrdError(
            f"the server at {self.url} failed {1 + self._api.retries} times at one call, the last time by "
            f"{errors[0]}\n{kept}. Check that the server is running and can handle the load; lower "
            "resources.api.concurrency, or raise resources.api.timeout or resources.api.retries"
        )


def _key(variable: str, needed: bool) -> str | None:
    key = os.environ.get(variable, "").strip()
    if needed and not key:
        raise ConfigError(
            f"resources.api.key names {variable}, which is not set; export your key in it, or set "
            "teacher.base_url to a server that needs none, such as http://127.0.0.1:8000/v1"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError(f"the key in {variable} (resources.api.key) has characters that no key has")
    return key or None


def _host(url: str) -> str:
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL:
        parsed = httpx2.URL("")
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ConfigError(
            f"teacher.base_url is {url!r}; allowed: an address such as http://127.0.0.1:8000/v1"
        )
    if parsed.userinfo:
        raise ConfigError(
            "teacher.base_url holds a name or password, and is written into records and logs; take it out "
            "and put the server's key into the variable that resources.api.key names"
        )
    return parsed.host
