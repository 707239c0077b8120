"""Asynchronous work behind a plain iterator."""

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
    """What `work` puts, as it comes, while it runs in a thread with an event loop of its own.

    It goes on while the reader is busy with something else. Closing the iterator, or an exception in the
    reader such as an interrupt, cancels it and waits until it has ended.

    Args:
        work: called with a function that takes an item; its exception is raised after the last item.
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
        while (found := items.get())[0] == "item":
            yield found[1]
        if found[0] == "error":
            raise found[1]
    finally:
        loop, task = started.result()
        if task is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(task.cancel)
        thread.join()
