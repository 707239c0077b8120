"""Calls to a server: paced, cut off when they hang, and made again where that can help."""

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
SAID = 30.0  # seconds between two lines about calls that are made again
_backoff = wait_random_exponential(multiplier=1, max=60)  # anywhere in 0..1, 0..2, 0..4, ... seconds


class Passing(Exception):
    """A failure that may be gone the next time.

    Attributes:
        after: seconds that the server asks to wait; None leaves it to the back-off.
    """

    def __init__(self, reason: str, after: float | None = None):
        super().__init__(reason)
        self.after = after


class Stopped(Exception):
    """A call that was not begun, because others have failed for good."""


class Calls:
    """Makes the calls of one round of sampling, in one event loop.

    Args:
        api: how the server is asked.
        spent: where calls and repetitions are counted.
    """

    def __init__(self, api: Api, spent: Spending):
        self._spent = spent
        self._timeout, self._retries = api.timeout, api.retries
        self._gap = 60 / api.requests_per_minute if api.requests_per_minute else 0.0
        self._next = self._said = time.monotonic()
        self._stopping = asyncio.Event()
        self._attempts = AsyncRetrying(
            retry=retry_if_exception_type(Passing),
            stop=self._is_last,
            wait=_wait,
            sleep=self._pause,
            before_sleep=self._note,
            reraise=True,
        )

    async def __call__(self, call: Callable[[], Awaitable[T]]) -> T:
        """The result of `call`.

        Raises:
            Passing: the last failure, when there were more than may be.
            Stopped: if `stop` was called before it began.
        """
        return await self._attempts.copy()(self._once, call)

    def stop(self) -> None:
        """Begin no more calls; what is under way may end."""
        self._stopping.set()

    def _is_last(self, state: RetryCallState) -> bool:
        """Whether a call that failed is not made again."""
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
            # The client's own limits are for each piece of an answer; a server that drips would never end.
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

    async def _note(self, state: RetryCallState) -> None:
        self._spent.repeated += 1
        if time.monotonic() - self._said >= SAID:
            self._said = time.monotonic()
            again, reason = self._spent.repeated, _failure(state)
            log.warning("teacher: %d calls made again so far, the last because of: %s", again, reason)


def _wait(state: RetryCallState) -> float:
    """What the server asks for and a little more, so that not all come back at once; else the back-off."""
    failure = _failure(state)
    if failure is None or failure.after is None:
        return _backoff(state)
    return failure.after + random.random()


def _failure(state: RetryCallState) -> Passing | None:
    """Why the last call is made again."""
    error = state.outcome.exception() if state.outcome else None
    return error if isinstance(error, Passing) else None
