"""The abort signal."""

import asyncio

from rivetless import AbortSignal


def test_fires_once() -> None:
    signal = AbortSignal()
    heard: list[str] = []
    signal.add_callback(lambda: heard.append("early"))
    assert (signal.aborted, signal.reason) == (False, None)
    signal.fire("deadline")
    signal.fire("again")
    signal.add_callback(lambda: heard.append("late"))
    assert (signal.aborted, signal.reason) == (True, "deadline")
    assert heard == ["early", "late"]


async def test_can_be_waited_for() -> None:
    signal = AbortSignal()
    waiting = asyncio.ensure_future(signal.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    signal.fire("deadline")
    await waiting
    await signal.wait()
