"""Micro-batching: fewer calls, the same answers, and one bad request fails alone."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import pytest

from seatrial.serving.batching import Batcher, Busy


def test_concurrent_requests_share_calls_and_keep_their_answers() -> None:
    async def run() -> tuple[list[int], int]:
        batcher: Batcher[int, int] = Batcher(lambda items: [item * 10 for item in items], max_batch=32)
        answers = await asyncio.gather(*(batcher.submit(i) for i in range(200)))
        batcher.close()
        return answers, batcher.batches

    answers, batches = asyncio.run(run())
    assert answers == [i * 10 for i in range(200)]
    assert 7 <= batches < 50


def test_a_bad_request_fails_alone() -> None:
    def predict(items: Sequence[int]) -> list[int]:
        if 7 in items:
            raise ValueError("seven")
        return list(items)

    async def run() -> list[int | BaseException]:
        batcher: Batcher[int, int] = Batcher(predict)
        answers = await asyncio.gather(*(batcher.submit(i) for i in range(20)), return_exceptions=True)
        batcher.close()
        return answers

    answers = asyncio.run(run())
    assert isinstance(answers[7], ValueError)
    assert answers[:7] + answers[8:] == [*range(7), *range(8, 20)]


def test_items_of_another_key_are_never_in_one_call() -> None:
    seen: list[set[int]] = []

    def predict(items: Sequence[int]) -> list[int]:
        seen.append({item % 3 for item in items})
        return list(items)

    async def run() -> list[int]:
        batcher: Batcher[int, int] = Batcher(predict, key=lambda item: item % 3)
        answers = await asyncio.gather(*(batcher.submit(i) for i in range(60)))
        batcher.close()
        return answers

    assert asyncio.run(run()) == list(range(60))
    assert all(len(keys) == 1 for keys in seen)
    assert len(seen) < 60


def test_rows_are_counted_and_a_large_request_goes_alone() -> None:
    sizes: list[int] = []

    def predict(items: Sequence[int]) -> list[int]:
        sizes.append(sum(items))
        return list(items)

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(predict, size=lambda item: item, max_batch=10)
        await asyncio.gather(*(batcher.submit(rows) for rows in [1, 4, 4, 4, 50, 3]))
        batcher.close()

    asyncio.run(run())
    assert 50 in sizes
    assert max(size for size in sizes if size != 50) <= 10


def test_the_loop_answers_while_a_model_is_busy_and_a_hang_shows() -> None:
    release = threading.Event()

    def predict(items: Sequence[int]) -> list[int]:
        release.wait(20)
        return list(items)

    async def run() -> tuple[bool, bool, bool]:
        batcher: Batcher[int, int] = Batcher(predict)
        pending = asyncio.create_task(batcher.submit(1))
        idle = batcher.stalled(0.0)
        await asyncio.sleep(0.05)
        hung = batcher.stalled(0.01)
        release.set()
        assert await pending == 1
        batcher.close()
        return idle, hung, batcher.stalled(0.0)

    assert asyncio.run(run()) == (False, True, False)


def test_abandoned_requests_are_not_predicted_and_a_full_queue_refuses() -> None:
    release, seen = threading.Event(), []

    def predict(items: Sequence[int]) -> list[int]:
        release.wait(20)
        seen.extend(items)
        return list(items)

    async def run() -> None:
        batcher: Batcher[int, int] = Batcher(predict, max_waiting=2)
        first = asyncio.create_task(batcher.submit(1))
        await asyncio.sleep(0.01)
        second, third = asyncio.create_task(batcher.submit(2)), asyncio.create_task(batcher.submit(3))
        await asyncio.sleep(0.01)
        with pytest.raises(Busy):
            await batcher.submit(4)
        second.cancel()
        release.set()
        assert (await first, await third) == (1, 3)
        batcher.close()

    asyncio.run(run())
    assert seen == [1, 3]
