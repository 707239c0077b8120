"""Runs asynchronous code in a background thread and returns its results as a plain iterator."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")
THREAD = "qcrd-background"


def in_background(work: Callable[[Callable[[T], None]], Awaitable[None]]) -> Generator[T, None, None]:
    """Iterate over the items that `work` produces in a background thread with its own event loop.

    `work` continues while the consumer is busy. Closing the iterator, or an exception in the consumer such
    as an interrupt, cancels `work` and waits until it has ended.

    Args:
        work: coroutine function, called with a function that takes an item. Its exception is raised after
            the last item.
    """
    items: SimpleQueue[tuple[str, Any]] = SimpleQueue()
    started: Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any] | None]] = Future()

    async def main() -> None:
        started.set_result((asyncio.get_running_loop(), asyncio.current_task()))
        await work(lambda item: items.put(("item", item)))

    def run() -> None:
        try:
            asyncio.run(main())
        except BaseException as error:
            items.put(("error", error))
        else:
            items.put(("end", None))

    thread = Thread(target=run, name=THREAD, daemon=True)
    thread.start()
    try:
        while (message := items.get())[0] == "item":
            yield message[1]
        if message[0] == "error":
            raise message[1]
    finally:
        loop, task = started.result()
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
