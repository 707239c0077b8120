"""Calls to a server, with a rate limit, a timeout, and retries of transient failures."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import httpx2
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception_type,
    wait_random_exponential,
)

from qcrd.config import Api
from qcrd.teacher.openai.spending import Spending

log = logging.getLogger(__name__)

T = TypeVar("T")
LOG_INTERVAL = 30.0  # minimum seconds between two log lines about retries
_backoff = wait_random_exponential(multiplier=1, max=60)  # uniform in 0..1, 0..2, 0..4, ... seconds


class Passing(Exception):
    """A transient failure; the call may succeed on a retry.

    Attributes:
        after: seconds to wait, as requested by the server; None uses exponential back-off.
    """

    def __init__(self, reason: str, after: float | None = None):
        super().__init__(reason)
        self.after = after


class Stopped(Exception):
    """The call was not started, because another call has failed permanently."""


class Calls:
    """Makes the calls of one round of sampling, in one event loop.

    Args:
        api: rate limit, timeout and number of retries.
        spent: counter of calls and retries; updated in place.
    """

    def __init__(self, api: Api, spent: Spending):
        self._spent = spent
        self._timeout, self._retries = api.timeout, api.retries
        self._gap = 60 / api.requests_per_minute if api.requests_per_minute else 0.0
        self._next = self._logged = time.monotonic()
        self._stopping = asyncio.Event()
        self._attempts = AsyncRetrying(
            retry=retry_if_exception_type(Passing),
            stop=self._is_last,
            wait=_wait,
            sleep=self._pause,
            before_sleep=self._count_retry,
            reraise=True,
        )

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`.

        Raises:
            Passing: the last failure, after all retries have failed.
            Stopped: if `stop` was called before `call` started.
        """
        return await self._attempts.copy()(self._once, call)

    def stop(self) -> None:
        """Start no more calls; calls in flight may finish."""
        self._stopping.set()

    def _is_last(self, state: RetryCallState) -> bool:
        """Whether a failed call is not retried."""
        return state.attempt_number > self._retries or self._stopping.is_set()

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._gap
        await self._pause(turn - now)
        if self._stopping.is_set():
            raise Stopped
        self._spent.calls += 1
        try:
            # httpx2's timeouts apply per chunk of a reply; a server that sends slowly could take forever.
            async with asyncio.timeout(self._timeout):
                return await call()
        except TimeoutError:
            raise Passing(f"no answer within {self._timeout:g} s (resources.api.timeout)") from None
        except httpx2.RequestError as error:
            raise Passing(f"no connection, or a broken one ({str(error) or type(error).__name__})") from None

    async def _pause(self, seconds: float) -> None:
        if seconds > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), seconds)

    async def _count_retry(self, state: RetryCallState) -> None:
        self._spent.repeated += 1
        if time.monotonic() - self._logged >= LOG_INTERVAL:
            self._logged = time.monotonic()
            retries, reason = self._spent.repeated, _failure(state)
            log.warning("teacher: %d calls retried so far, the last because of: %s", retries, reason)


def _wait(state: RetryCallState) -> float:
    """Seconds to wait: the server's request plus jitter, which spreads the retries; else the back-off."""
    failure = _failure(state)
    if failure is None or failure.after is None:
        return _backoff(state)
    return failure.after + random.random()


def _failure(state: RetryCallState) -> Passing | None:
    """The transient failure of the last attempt, if it failed with one."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Passing) else None
