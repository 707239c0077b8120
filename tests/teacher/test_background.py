import asyncio
import threading

import pytest

from qcrd.teacher.openai.background import in_background


def test_items_come_in_their_order_and_then_the_end():
    async def work(put):
        for i in range(5):
            put(i)
            await asyncio.sleep(0)

    assert list(in_background(work)) == [0, 1, 2, 3, 4]


def test_an_exception_comes_after_the_items_before_it():
    async def work(put):
        put(1)
        raise LookupError("gone")

    items = in_background(work)
    assert next(items) == 1
    with pytest.raises(LookupError, match="gone"):
        next(items)


def test_the_work_goes_on_while_the_reader_is_busy():
    further = threading.Event()

    async def work(put):
        put(1)
        further.set()

    items = in_background(work)
    next(items)
    assert further.wait(30)
    assert list(items) == []


def test_closing_cancels_the_work_and_waits_for_its_end():
    ended = []

    async def work(put):
        try:
            put(1)
            await asyncio.sleep(3600)
        finally:
            ended.append("cleaned up")

    items = in_background(work)
    next(items)
    items.close()
    assert ended == ["cleaned up"]


def test_nothing_runs_before_the_first_item_is_asked_for():
    async def work(put):
        raise AssertionError("began")

    in_background(work).close()
